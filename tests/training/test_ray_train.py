"""Ray Train starts the same script: two workers train as one process does, and report checkpoints."""

import importlib.util
import os
import tempfile

import numpy as np
import pytest

import lamella
from lamella import layers

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore"),  # Ray's own
    pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="needs pip install 'lamella[cluster]'"),
]

X = np.random.default_rng(0).normal(size=(203, 12)).astype("float32")
Y = np.random.default_rng(1).integers(0, 5, 203)


def fitted(callbacks=()):
    lamella.utils.set_random_seed(4)
    model = lamella.Sequential(
        [lamella.Input((12,)), layers.Dense(32, activation="relu"), layers.Dense(5, activation="softmax")]
    )
    adam = lamella.optimizers.Adam(1e-2, global_clipnorm=1.0)
    model.compile(adam, "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model, model.fit(X, Y, 16, epochs=4, verbose=0, callbacks=list(callbacks))


def work():
    import ray.train
    from ray.train import Checkpoint

    from lamella.distribution import DataParallel, get_distribution, set_distribution

    set_distribution(DataParallel())
    assert get_distribution().world_size == 2

    class Report(lamella.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            with tempfile.TemporaryDirectory() as folder:
                self.model.save(os.path.join(folder, "model.keras"))
                first = get_distribution().rank == 0
                ray.train.report(dict(logs), checkpoint=Checkpoint.from_directory(folder) if first else None)

    fitted([Report()])


def test_two_workers_are_as_one_process(tmp_path):
    import ray
    from ray.train import RunConfig, ScalingConfig
    from ray.train.torch import TorchTrainer

    here = os.path.dirname(__file__)
    environment = {"env_vars": {"PYTHONPATH": here, "OMP_NUM_THREADS": "1"}}
    ray.init(num_cpus=3, include_dashboard=False, runtime_env=environment, log_to_driver=False)
    try:
        trainer = TorchTrainer(
            work,
            scaling_config=ScalingConfig(num_workers=2),
            run_config=RunConfig(storage_path=str(tmp_path), name="run"),
        )
        result = trainer.fit()
        with result.checkpoint.as_directory() as folder:
            model = lamella.models.load_model(os.path.join(folder, "model.keras"))
    finally:
        ray.shutdown()
    alone, history = fitted()
    for name in ("loss", "accuracy"):
        np.testing.assert_allclose(result.metrics[name], history.history[name][-1], rtol=1e-5)
    for found, expected in zip(model.get_weights(), alone.get_weights(), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
    assert int(model.optimizer.iterations) == 52
