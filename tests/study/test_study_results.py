"""What a study says: tables, the edge, the pool, pictures, the range test, errors."""

import math
import sys

import numpy as np
import pytest
import torch

import lamella
from lamella import Input, Sequential, layers, optimizers
from lamella.errors import ArgumentError, DataError, NotBuiltError, NotCompiledError, ShapeError
from lamella.study import ensemble, find_learning_rate, learning_rates, optuna_search, pool, sweep


@pytest.fixture(scope="module")
def plane():
    x = np.random.default_rng(0).normal(size=(96, 3)).astype("float32")
    return x, x @ np.array([[1.0], [-2.0], [0.5]], "float32")


def line(learning_rate=0.1, units=4, activation="linear"):
    model = Sequential([Input((3,)), layers.Dense(units, activation), layers.Dense(1)])
    model.compile(optimizers.SGD(learning_rate), "mse")
    return model


@pytest.fixture(scope="module")
def study(plane):
    return learning_rates(line(), *plane, values=[1e-4, 0.01, 0.05, 20.0, 50.0], seeds=3, epochs=6)


def test_the_table_has_a_row_for_each_run(study):
    table = study.table()
    assert len(table) == 15
    assert list(table.columns) == ["learning_rate", "seed", "loss", "diverged", "how"]
    assert table["diverged"].tolist() == [False, False, False, True, True] * 3
    assert table["seed"].tolist() == [seed for seed in range(3) for _ in range(5)]
    assert list(study.rows()[3]) == list(table.columns)


def test_the_best_setting_has_the_least_mean(study):
    table = study.table()
    means = table[~table["diverged"]].groupby("learning_rate")["loss"].mean()
    assert study.best == {"learning_rate": means.idxmin()}
    summary = study.summary().set_index("learning_rate")
    np.testing.assert_allclose(summary.loc[0.01, "loss"], means[0.01])
    spread = table[table["learning_rate"] == 0.01]["loss"].std()
    np.testing.assert_allclose(summary.loc[0.01, "spread"], spread)
    assert set(study.best_by_seed) == {0, 1, 2}
    assert study.best_run.last("loss") == min(table[~table["diverged"]]["loss"])


def test_without_pandas_tables_are_lists(study, monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    assert study.table() == study.rows()
    assert study.table()[3]["learning_rate"] == 20.0
    assert study.summary()[0]["runs"] == 3


def test_the_edge(study):
    assert study.edge() == 20.0
    with pytest.raises(ArgumentError, match="no setting 'momentum'; it has \\['learning_rate'\\]"):
        study.edge("momentum")


def test_lost_epochs_are_nan(study):
    lost = study.runs[4]
    assert lost.lost_at is not None and lost.diverged
    assert len(lost.history["loss"]) == 6 and math.isnan(lost.history["loss"][-1])


def test_the_words(study):
    said = str(study)
    assert said.startswith("15 runs in ") and ": 15 at once" in said
    assert "6 runs diverged" in said


def test_when_all_diverge_there_is_no_best(plane):
    lost = learning_rates(line(), *plane, values=[50.0, 90.0], seeds=1, epochs=6)
    assert "every run diverged" in str(lost)
    with pytest.raises(ArgumentError, match="with each of them a training diverged"):
        _ = lost.best


def test_a_trained_model_comes_back(study, plane):
    run = study.best_run
    loss = run.model().evaluate(*plane, verbose=0)
    assert loss < run.before
    assert run.model().optimizer.learning_rate == run.settings["learning_rate"]


def test_another_width_goes_to_the_pool_and_gives_what_fit_gives(plane):
    found = sweep(line, {"learning_rate": [0.05, 60.0], "units": [3, 5]}, *plane, epochs=4, validation_data=plane)
    assert {run.how for run in found.runs} == {"at once"}
    found = sweep(line, {"learning_rate": [0.05], "units": [3, 5]}, *plane, epochs=4, validation_data=plane)
    assert {run.how for run in found.runs} == {"in a pool of processes: no other model here is like it"}
    assert "0 at once, 2 in a pool of processes" in str(found)
    for run in found.runs:
        lamella.utils.set_random_seed(0)
        model = line(**run.settings)
        history = model.fit(*plane, epochs=4, batch_size=32, validation_data=plane, verbose=0).history
        assert run.history["loss"] == pytest.approx(history["loss"], rel=1e-6)
        assert run.history["val_loss"] == pytest.approx(history["val_loss"], rel=1e-6)
        for ours, theirs in zip(run.model().get_weights(), model.get_weights(), strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-7)


def test_where_a_forked_process_cannot_train_new_ones_do(plane, monkeypatch):
    def refused(index):
        raise RuntimeError("Unable to handle autograd's threading in combination with fork-based multiprocessing.")

    settings = {"learning_rate": [0.05], "units": [3, 5]}
    forked = sweep(line, settings, *plane, epochs=2)
    refused.__module__, refused.__qualname__ = pool.__name__, "_train"  # which new processes find as it is
    monkeypatch.setattr(pool, "_train", refused)
    anew = sweep(line, settings, *plane, epochs=2)
    assert [run.history for run in anew.runs] == [run.history for run in forked.runs]


def test_a_run_that_diverges_in_the_pool_is_marked(plane):
    found = sweep(line, [{"learning_rate": 60.0, "units": 3}, {"learning_rate": 0.05, "units": 5}], *plane, epochs=20)
    assert [run.diverged for run in found.runs] == [True, False]
    lamella.utils.set_random_seed(0)
    with pytest.raises(lamella.errors.NonFiniteError, match=f"at step {found.runs[0].lost_at}\\."):
        line(60.0, 3).fit(*plane, epochs=20, batch_size=32, verbose=0)


class Doubled(lamella.Model):
    """A model with a training step of its own."""

    def __init__(self):
        super().__init__()
        self.dense = layers.Dense(1)

    def call(self, x):
        return self.dense(x)

    def train_step(self, data):
        super().train_step(data)
        return super().train_step(data)


@lamella.saving.register_keras_serializable(package="study_tests")
def by_its_own_size(x):
    return x * 2.0 if x.is_meta or float(x.detach().abs().sum()) > 1 else x


def two_outputs():
    x = Input((3,))
    return compiled(lamella.Model(x, [layers.Dense(1)(x), layers.Dense(1)(x)]))


REASONS = {
    "train_step of its own": lambda: compiled(Doubled()),
    "has a constraint": lambda: compiled(Sequential([Input((3,)), layers.Dense(1, kernel_constraint="non_neg")])),
    "Muon is not known": lambda: compiled(line(), optimizers.Muon(0.01)),
    "vmap refuses it": lambda: compiled(Sequential([Input((3,)), layers.Dense(1), layers.Lambda(by_its_own_size)])),
    "several outputs": lambda: two_outputs(),
}


def compiled(model, optimizer="sgd"):
    model.compile(optimizer, "mse")
    return model


@pytest.mark.parametrize("reason", REASONS)
def test_what_cannot_be_one_computation_says_why(reason, plane):
    x, y = plane
    y = [y, y] if reason == "several outputs" else y
    found = learning_rates(REASONS[reason](), x, y, values=[0.001, 0.01], seeds=1, epochs=1)
    for run in found.runs:
        assert run.how.startswith("in a pool of processes: ") and reason in run.how
        assert math.isfinite(run.last("loss"))


def test_the_picture(study, tmp_path):
    pytest.importorskip("matplotlib")
    axes = study.plot()
    assert axes.get_xscale() == "log" and axes.get_yscale() == "log"
    texts = [text.get_text() for text in axes.get_legend().get_texts()]
    assert "diverges from 20 on" in texts and "best by seed" in texts
    axes.figure.savefig(tmp_path / "study.png")
    with pytest.raises(ArgumentError, match="'how' is not"):
        study.plot("how")


def test_without_matplotlib_the_mend_is_named(study, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match=r"lamella\[study\]"):
        study.plot()


def test_the_range_test_leaves_the_model_as_it_was(plane, tmp_path):
    model = Sequential(
        [Input((3,)), layers.Dense(8, "relu"), layers.BatchNormalization(), layers.Dropout(0.2), layers.Dense(1)]
    )
    model.compile(optimizers.Adam(0.003), "mse")
    model.fit(*plane, epochs=1, verbose=0)
    history, optimizer = model.history, model.optimizer
    weights = model.get_weights()
    slots = [tensor.clone() for tensor in optimizer.variables]
    random = torch.get_rng_state()
    test = find_learning_rate(model, *plane, lowest=1e-5, highest=100.0, steps=60)
    assert 1e-5 < test.steepest <= test.edge < 100
    assert len(test.rates) == len(test.losses) == len(test.smoothed) <= 60
    assert model.history is history and model.optimizer is optimizer and model.stop_training is False
    assert torch.equal(torch.get_rng_state(), random)
    assert all(np.array_equal(a, b) for a, b in zip(weights, model.get_weights(), strict=True))
    assert all(torch.equal(a, b) for a, b in zip(slots, optimizer.variables, strict=True))
    model.fit(*plane, epochs=1, verbose=0)  # and it still trains
    pytest.importorskip("matplotlib")
    test.plot().figure.savefig(tmp_path / "range.png")


def test_the_range_test_is_one_training_with_rising_rates(plane):
    model = line()
    copy = line()
    copy.set_weights(model.get_weights())
    torch.manual_seed(1)
    test = find_learning_rate(model, *plane, lowest=1e-3, highest=0.1, steps=6, batch_size=32)
    torch.manual_seed(1)
    losses = []
    for epoch in range(2):
        order = torch.randperm(96)
        for first in range(0, 96, 32):
            rows = order[first : first + 32].numpy()
            copy.optimizer.learning_rate = float(np.geomspace(1e-3, 0.1, 6)[epoch * 3 + first // 32])
            losses.append(copy.train_on_batch(plane[0][rows], plane[1][rows]))
    np.testing.assert_allclose(test.losses, losses, rtol=1e-4)


def test_the_search_of_optuna(plane):
    optuna = pytest.importorskip("optuna")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    search = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    found = optuna_search(
        search,
        line,
        lambda trial: {"learning_rate": trial.suggest_float("learning_rate", 1e-3, 100.0, log=True)},
        *plane,
        trials=7,
        at_once=4,
        seeds=2,
        epochs=3,
    )
    assert len(found.runs) == 14 and len(search.trials) == 7
    assert search.best_params == pytest.approx(found.best)
    failed = sum(trial.state.name == "FAIL" for trial in search.trials)
    assert failed == sum(any(run.diverged for run in runs) for runs in found.by_settings())
    with pytest.raises(ArgumentError, match="must minimize"):
        optuna_search(optuna.create_study(direction="maximize"), line, dict, *plane)


def test_errors_name_the_mend(plane):
    x, y = plane
    with pytest.raises(NotCompiledError, match="call compile\\(\\) first"):
        learning_rates(Sequential([Input((3,)), layers.Dense(1)]), x, y)
    with pytest.raises(ArgumentError, match="must be a model of Lamella; got Linear"):
        ensemble(torch.nn.Linear(3, 1), 3, x, y)
    with pytest.raises(ArgumentError, match="learning rates above 0"):
        learning_rates(line(), x, y, values=[0.1, -1.0])
    with pytest.raises(ArgumentError, match="`seeds`"):
        learning_rates(line(), x, y, seeds=0)
    with pytest.raises(ArgumentError, match="`epochs`"):
        learning_rates(line(), x, y, epochs=0)
    with pytest.raises(ArgumentError, match="follows a schedule"):
        learning_rates(line(optimizers.schedules.CosineDecay(0.1, 10)), x, y)
    with pytest.raises(ArgumentError, match="dict of lists"):
        sweep(line, {"learning_rate": 0.1}, x, y)
    with pytest.raises(ArgumentError, match="a list in it is empty"):
        sweep(line, {"learning_rate": []}, x, y)
    with pytest.raises(DataError, match="as arrays"):
        learning_rates(line(), iter([(x, y)]), None)
    with pytest.raises((ShapeError, DataError), match="shape"):
        learning_rates(line(), x, np.zeros((96, 2)), values=[0.1])
    with pytest.raises(DataError, match="same number of samples"):
        learning_rates(line(), x, y[:5])
    unbuilt = Sequential([layers.Dense(1)])
    unbuilt.compile("sgd", "mse")
    with pytest.raises(NotBuiltError, match="no weights yet"):
        find_learning_rate(unbuilt, x, y)
    with pytest.raises(ArgumentError, match="below `highest`"):
        find_learning_rate(line(), x, y, lowest=1.0, highest=0.1)
