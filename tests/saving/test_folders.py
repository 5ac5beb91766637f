"""Models in folders: both ways with real Keras, replaced in one step, and nothing of the user's is lost."""

import os
import sys

import fresh
import numpy as np
import pytest
from model_zoo import ROWS, data, dense

import lamella
from lamella.errors import ArgumentError, FileError

keras = pytest.importorskip("keras")

pytestmark = [
    pytest.mark.filterwarnings("ignore::UserWarning:keras"),
    pytest.mark.filterwarnings("ignore:.*input_shape.*"),
]


def trained(library):
    library.utils.set_random_seed(1)
    model = dense(library)
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(*data(ROWS), verbose=0)
    return model


def with_words():
    layers = lamella.layers
    lookup = layers.StringLookup(vocabulary=["a", "b", "c"])
    return lamella.Sequential([lamella.Input((1,), dtype="string"), lookup, layers.Embedding(4, 2)])


def test_both_ways_with_keras(tmp_path):
    x, _ = data(ROWS)
    ours, theirs = trained(lamella), trained(keras)
    ours.save(tmp_path / "ours", zipped=False)
    theirs.save(tmp_path / "theirs", zipped=False)
    assert sorted(os.listdir(tmp_path / "ours")) == ["config.json", "metadata.json", "model.weights.h5"]
    found = keras.models.load_model(tmp_path / "ours")
    np.testing.assert_allclose(found.predict(x, verbose=0), ours.predict(x, verbose=0), atol=1e-6)
    found = lamella.models.load_model(tmp_path / "theirs")
    np.testing.assert_allclose(found.predict(x, verbose=0), theirs.predict(x, verbose=0), atol=1e-6)
    assert found.optimizer.iterations == theirs.optimizer.iterations.numpy()


def test_vocabularies_lie_in_the_folder(tmp_path):
    model = with_words()
    model.save(tmp_path / "m", zipped=False)
    again = lamella.models.load_model(tmp_path / "m")
    words = np.array([["b"], ["?"]])
    np.testing.assert_array_equal(again.predict(words, verbose=0), model.predict(words, verbose=0))


def test_a_folder_is_replaced_whole_or_not_at_all(tmp_path, monkeypatch):
    model = trained(lamella)
    model.save(tmp_path / "m", zipped=False)
    before = model.get_weights()
    model.fit(*data(ROWS), verbose=0)

    def fails(store):
        raise OSError("no space left")

    with monkeypatch.context() as patched:
        patched.setattr(model.layers[-1], "save_own_variables", fails)
        with pytest.raises(OSError, match="no space"):
            model.save(tmp_path / "m", zipped=False)
    assert os.listdir(tmp_path) == ["m"]
    for a, b in zip(lamella.models.load_model(tmp_path / "m").get_weights(), before, strict=True):
        np.testing.assert_array_equal(a, b)
    model.save(tmp_path / "m", zipped=False)
    assert os.listdir(tmp_path) == ["m"]
    for a, b in zip(lamella.models.load_model(tmp_path / "m").get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_without_a_step_that_exchanges_folders(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "platform", "other")
    model = trained(lamella)
    for _ in range(2):
        model.save(tmp_path / "m", zipped=False)
    assert os.listdir(tmp_path) == ["m"]
    lamella.models.load_model(tmp_path / "m")


# A child saves one version after the other until it is killed; then the folder must be one of its versions, whole.
KILLER = """
import os, random, signal, sys, time
import torch, lamella
torch.set_num_threads(1)
path, moments = sys.argv[1], random.Random(0)
model = lamella.Sequential([lamella.Input((300,)), lamella.layers.Dense(400)])
def save(version):
    for weight in model.weights:
        weight.detach().fill_(version)
    model.save(path, zipped=False)
save(1)
for kill in range(12):
    child = os.fork()
    if child == 0:
        version = 1
        while True:
            version += 1
            save(version)
    time.sleep(moments.uniform(0.0, 0.05))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    weights = lamella.models.load_model(path).get_weights()
    versions = {float(value) for weight in weights for value in (weight.min(), weight.max())}
    assert len(versions) == 1, versions
print("whole")
"""


@pytest.mark.skipif(sys.platform != "linux", reason="needs a step that exchanges folders")
def test_twelve_kills(tmp_path):
    assert fresh.check(["-c", KILLER, tmp_path / "m"]).split() == ["whole"]


def test_what_is_refused(tmp_path):
    model = trained(lamella)
    with pytest.raises(ArgumentError, match="to a folder"):
        model.save(tmp_path / "m.keras", zipped=False)
    with pytest.raises(ArgumentError, match="zipped=False to a folder"):
        model.save(tmp_path / "m")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("of years")
    with pytest.raises(ArgumentError, match=r"other files \(thesis.tex\)"):
        model.save(tmp_path / "mine", zipped=False)
    with pytest.raises(ArgumentError, match="is a file"):
        model.save(tmp_path / "mine" / "thesis.tex", zipped=False)
    model.save(tmp_path / "m", zipped=False)
    with pytest.raises(ArgumentError, match="overwrite=True"):
        model.save(tmp_path / "m", overwrite=False, zipped=False)
    with pytest.raises(FileError, match="holds no model"):
        lamella.models.load_model(tmp_path / "mine")
    (tmp_path / "m" / "model.weights.h5").unlink()
    with pytest.raises(FileError, match=r"no model\.weights\.h5"):
        lamella.models.load_model(tmp_path / "m")
