"""The loss scale and its count of good steps come back from files, Lamella's and Keras's."""

import numpy as np
import pytest
import torch

import lamella
from lamella.errors import FileError

keras = pytest.importorskip("keras")

X, Y = np.ones((20, 2), "float32"), np.ones(20, "float32")


def trained(engine, rate=0.25):
    inner = engine.optimizers.SGD(rate, momentum=0.5)
    model = engine.Sequential([engine.Input((2,)), engine.layers.Dense(1)])
    model.compile(engine.optimizers.LossScaleOptimizer(inner, 8.0, 2), engine.losses.MeanSquaredError())
    model.fit(X, Y, batch_size=4, verbose=0)  # five steps: the scale grows twice, one good step is left over
    return model


def values(optimizer):
    return [np.asarray(v.detach().cpu() if isinstance(v, torch.Tensor) else v.numpy()) for v in optimizer.variables]


@pytest.mark.parametrize("ending", ["keras", "h5"])
@pytest.mark.parametrize("engine", [lamella, keras], ids=["lamella", "keras"])
@pytest.mark.filterwarnings("ignore:You are saving")
def test_files_go_all_ways(engine, ending, tmp_path):
    model = trained(engine)
    path = str(tmp_path / f"model.{ending}")
    model.save(path)
    readers = (lamella.saving, keras.saving) if ending == "keras" else (lamella.saving,)
    for reader in readers:  # of an .h5 file Keras itself takes the scale, but not the step
        loaded = reader.load_model(path)
        if reader is lamella.saving:
            assert (loaded.optimizer.dynamic_scale, loaded.optimizer._good_steps) == (32.0, 1)
        else:
            assert float(loaded.optimizer.dynamic_scale) == 32.0 and int(loaded.optimizer.step_counter) == 1
        assert int(loaded.optimizer.iterations) == 5
        for other in (loaded, model):
            other.fit(X, Y, batch_size=20, verbose=0)  # the momentum counts too
        for ours, theirs in zip(loaded.get_weights(), model.get_weights(), strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-6)
        model = engine.saving.load_model(path)  # as it was


def test_a_schedule_inside(tmp_path):
    model = trained(lamella, lamella.optimizers.schedules.CosineDecay(0.1, 20))
    model.save(tmp_path / "model.keras")
    loaded = lamella.saving.load_model(tmp_path / "model.keras").optimizer
    assert (loaded.dynamic_scale, loaded._good_steps, int(loaded.iterations)) == (32.0, 1, 5)


@pytest.mark.parametrize("engine", [lamella, keras], ids=["lamella", "keras"])
@pytest.mark.filterwarnings("error:.*does not fit")
def test_a_file_from_before_the_first_step(engine, tmp_path):
    model = engine.Sequential([engine.Input((2,)), engine.layers.Dense(1)])
    model.compile(engine.optimizers.LossScaleOptimizer(engine.optimizers.SGD(0.25), 8.0, 2), "mse")
    model.save(tmp_path / "model.keras")
    loaded = lamella.saving.load_model(tmp_path / "model.keras").optimizer
    assert (loaded.dynamic_scale, loaded._good_steps, loaded.learning_rate) == (8.0, 0, 0.25)


def test_a_file_that_does_not_fit_changes_no_scale(tmp_path):
    trained(lamella).save_weights(tmp_path / "good.weights.h5")
    other = lamella.Sequential([lamella.Input((3,)), lamella.layers.Dense(1)])
    other.compile(lamella.optimizers.LossScaleOptimizer(lamella.optimizers.SGD(0.25), 4.0), "mse")
    with pytest.raises(FileError, match="do not fit"), pytest.warns(UserWarning, match="does not fit"):
        other.load_weights(tmp_path / "good.weights.h5")
    assert other.optimizer.dynamic_scale == 4.0


@pytest.mark.parametrize("steps", [1, 3])
def test_remember(steps):
    optimizer = lamella.optimizers.LossScaleOptimizer(lamella.optimizers.SGD(0.25, momentum=0.5), 8.0, 2)
    weight = torch.nn.Parameter(torch.ones(2))
    for _ in range(steps):
        optimizer.apply([torch.ones(2)], [weight])
    before, restore = values(optimizer), optimizer.remember()
    optimizer.apply([torch.ones(2)], [weight])
    restore()
    for now, then in zip(values(optimizer), before, strict=True):
        np.testing.assert_array_equal(now, then)
