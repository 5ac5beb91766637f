"""The number of threads and the library of products are chosen while training."""

import pytest
import torch

from lamella.engine import kernels, quickest, random


@pytest.fixture
def two_threads(monkeypatch):
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    monkeypatch.setattr(random, "seeded", False)
    yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True)
def timed(monkeypatch, clock):
    monkeypatch.setattr(quickest, "time", clock)


@pytest.mark.parametrize(("quick", "expected"), [(1, 1), (2, 2)])
def test_the_quicker_number_wins_and_no_step_is_lost(two_threads, clock, quick, expected):
    steps = []

    def step(x, y, weight):
        steps.append(x)
        clock.sleep(1e-4 if torch.get_num_threads() == quick else 1e-3)

    way = quickest.QuickestWay(step)
    for i in range(150):
        way(i, None, None)
    assert steps == list(range(150))
    assert torch.get_num_threads() == expected
    way.restore()
    assert torch.get_num_threads() == 2


def test_long_steps_and_seeded_runs_keep_their_threads(two_threads, clock, monkeypatch):
    way = quickest.QuickestWay(lambda x, y, weight: clock.sleep(3e-3))
    for i in range(60):
        way(i, None, None)
        assert torch.get_num_threads() == 2
    monkeypatch.setattr(random, "seeded", True)
    assert not quickest.QuickestWay(lambda *batch: None).trial.open


@pytest.mark.parametrize("quick", ["none", "bf16"])
def test_the_quicker_library_wins(two_threads, clock, quick):
    if not kernels.onednn_is_accurate():
        pytest.skip("oneDNN's products are not float32-accurate here")
    before = kernels.chosen_matmul()

    def step(x, y, weight):
        clock.sleep(1e-4 if kernels.chosen_matmul() == quick else 1e-3)

    try:
        kernels.choose_matmul("bf16")
        way = quickest.QuickestWay(step, ("bf16", "none"))
        for _ in range(16 + 2 * 96):
            way(None, None, None)
        assert kernels.chosen_matmul() == quick
        assert not way.trial.open
        way.restore()
    finally:
        kernels.choose_matmul(before)


def test_a_library_that_the_user_chose_is_no_choice():
    before = kernels.chosen_matmul()
    try:
        kernels.choose_matmul("bf16")
        assert kernels.matmul_choices(torch.device("cpu")) == ()
    finally:
        kernels.choose_matmul(before)
    assert kernels.matmul_choices(torch.device("meta")) == ()
    assert len(kernels.matmul_choices(torch.device("cpu"))) in (0, 2)


@pytest.mark.parametrize("quick", ["none", "bf16"])
def test_long_steps_choose_a_library_over_several_trainings(two_threads, clock, monkeypatch, quick):
    if not kernels.onednn_is_accurate():
        pytest.skip("oneDNN's products are not float32-accurate here")
    before = kernels.chosen_matmul()
    trial, used = None, []

    def step(x, y, weight):
        assert torch.get_num_threads() == 2
        used.append(kernels.chosen_matmul())
        clock.sleep(3e-3 if used[-1] == quick else 9e-3)

    try:
        for _ in range(6):
            kernels.choose_matmul("bf16")
            way = quickest.QuickestWay(step, ("bf16", "none"), likeness=8, earlier=trial)
            for _ in range(4):
                way(None, None, None)
            trial = way.trial
            way.restore()
        assert used[:15] == ["bf16"] * 6 + ["none"] * 3 + ["bf16"] * 3 + ["none"] * 3
        assert set(used[15:]) == {quick}
        assert not trial.open
    finally:
        kernels.choose_matmul(before)


def test_what_was_found_holds_for_the_next_training(two_threads, clock, monkeypatch):
    def step(x, y, weight):
        clock.sleep(1e-4 if torch.get_num_threads() == 1 else 1e-3)

    first = quickest.QuickestWay(step, likeness=32)
    for _ in range(150):
        first(None, None, None)
    first.restore()
    later = quickest.QuickestWay(step, likeness=32, earlier=first.trial)
    assert torch.get_num_threads() == 2
    later(None, None, None)
    assert torch.get_num_threads() == 1 and not later.trial.open
    later.restore()
    assert quickest.QuickestWay(step, likeness=64, earlier=first.trial).trial.open
    monkeypatch.setattr(quickest, "_FRESH", 0.0)
    assert quickest.QuickestWay(step, likeness=32, earlier=first.trial).trial.open
    monkeypatch.setattr(quickest, "_FRESH", 60.0)
    monkeypatch.setattr(random, "seeded", True)
    seeded = quickest.QuickestWay(step, likeness=32, earlier=first.trial)
    assert not seeded.trial.open and not seeded.trial.settled


def test_what_was_found_on_a_disturbed_machine_is_mended(two_threads, clock):
    used, disturbed = [], True

    def step(x, y, weight):
        used.append(torch.get_num_threads())
        clock.sleep(1e-4 if (torch.get_num_threads() == 1) == disturbed else 1e-3)

    way = quickest.QuickestWay(step)
    for _ in range(1000):
        way(None, None, None)
    assert used[-1] == 1
    disturbed = False
    for _ in range(2000):
        way(None, None, None)
    assert used[-500:] == [2] * 500
    for _ in range(40000):
        way(None, None, None)
    assert used[3000:].count(1) == 2 * 48  # the next looks are rare: after 6,000 steps and 18,000
    way.restore()
