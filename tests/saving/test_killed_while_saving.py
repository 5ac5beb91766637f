"""A process that is killed while it saves leaves the old file or the new one, never half of one."""

import sys

import fresh
import pytest

# A child saves one version after the other until it is killed; then the file must be one of its versions, whole.
KILLER = """
import os, random, signal, sys, time
import torch, lamella
torch.set_num_threads(1)  # threads do not live through a fork
path, moments = sys.argv[1], random.Random(0)
model = lamella.Sequential([lamella.Input((300,)), lamella.layers.Dense(400), lamella.layers.Dense(300)])
def save(version):
    for weight in model.weights:
        weight.detach().fill_(version)
    model.save(path)
save(1)
seen = set()
for kill in range(int(sys.argv[2])):
    before = os.stat(path).st_ino
    child = os.fork()
    if child == 0:
        version = 1
        while True:
            version += 1
            save(version)
    while kill % 2 and os.stat(path).st_ino == before:  # every second child has saved once, on a busy machine, too
        time.sleep(0.001)
    time.sleep(moments.uniform(0.0, 0.06))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    weights = lamella.models.load_model(path).get_weights()
    versions = {float(value) for weight in weights for value in (weight.min(), weight.max())}
    assert len(versions) == 1, versions
    seen |= versions
print("whole", len(seen))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs fork and SIGKILL")
@pytest.mark.parametrize("kills", [16, pytest.param(50, marks=pytest.mark.slow)])
def test_killed_again_and_again(kills, tmp_path):
    word, seen = fresh.check(["-c", KILLER, tmp_path / "m.keras", kills], timeout=280).split()
    assert word == "whole"
    assert int(seen) > 1  # old and new versions: the kills came at different moments
