"""Callbacks: when they are called, what they see and do, next to real Keras where it can say the same."""

import csv
import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import numpy as np
import pytest

import lamella
from lamella import callbacks
from lamella.errors import ArgumentError

keras = pytest.importorskip("keras")

X = np.random.default_rng(1).normal(size=(48, 4)).astype("float32")
Y = np.random.default_rng(2).normal(size=(48, 1)).astype("float32")


def a_model(k=lamella, optimizer="sgd", **compiled):
    model = k.Sequential([k.Input((4,)), k.layers.Dense(3, activation="tanh"), k.layers.Dense(1)])
    model.compile(optimizer, "mse", **compiled)
    return model


def fit(model, *used, **arguments):
    return model.fit(X, Y, **{"batch_size": 16, "verbose": 0, "callbacks": list(used), **arguments})


def test_every_callback_of_keras_is_here():
    theirs = {name for name in dir(keras.callbacks) if not name.startswith("_")}
    assert theirs - set(callbacks.__all__) == {"OrbaxCheckpoint"}  # needs the package orbax-checkpoint, made for JAX


def told(k):
    events = []

    class Listener(k.callbacks.Callback):
        def __getattribute__(self, name):
            if name.startswith("on_") and name not in ("on_batch_begin", "on_batch_end"):
                return lambda *args, **kwargs: events.append((name, *[a for a in args if isinstance(a, int)]))
            return super().__getattribute__(name)

    # each event stands in the class, so that it is seen as defined
    for name in [name for name in dir(k.callbacks.Callback) if name.startswith("on_")]:
        setattr(Listener, name, lambda self, *args, **kwargs: None)
    return Listener(), events


def test_events_come_in_kerass_order():
    seen = []
    for k in (lamella, keras):
        listener, events = told(k)
        model = a_model(k)
        fit(model, listener, epochs=2, validation_split=0.25)
        model.evaluate(X, Y, verbose=0, callbacks=[listener])
        model.predict(X, verbose=0, callbacks=[listener])
        seen.append([event for event in events if event[0] != "on_predict_batch_begin"])
    assert seen[0] == seen[1]


class TestCallbackList:
    def test_events_reach_the_callbacks(self):
        seen = []
        one = callbacks.LambdaCallback(
            on_train_begin=lambda logs: seen.append("begin"),
            on_epoch_end=lambda epoch, logs: seen.append((epoch, logs)),
        )
        run = callbacks.CallbackList(one, add_history=True, model="a model", epochs=3)
        run.on_train_begin()
        run.on_epoch_end(1, {"loss": 2.0})
        assert seen == ["begin", (1, {"loss": 2.0})]
        assert run.callbacks[-1].history == {"loss": [2.0]}
        assert one.params == {"epochs": 3} and one.model == "a model"

    def test_keras_says_the_same(self):
        for k in (lamella, keras):
            history = k.callbacks.History()
            run = k.callbacks.CallbackList([history], add_progbar=True, model=None, epochs=1, steps=2, verbose=0)
            assert [type(c).__name__ for c in run.callbacks] == ["History", "ProgbarLogger"]

    def test_what_is_no_callback_is_refused(self):
        with pytest.raises(ArgumentError, match="must be an object made from"):
            fit(a_model(), print)


class TestModelCheckpoint:
    def test_weights_after_each_epoch(self, tmp_path):
        model, states = a_model(), []
        keep = callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: states.append(model.get_weights()))
        path = tmp_path / "deep" / "{epoch:02d}-{loss:.3f}.safetensors"
        history = fit(model, callbacks.ModelCheckpoint(path, save_weights_only=True), keep, epochs=3)
        names = sorted(file.name for file in path.parent.iterdir())
        assert names == [f"{i + 1:02d}-{loss:.3f}.safetensors" for i, loss in enumerate(history.history["loss"])]
        other = a_model()
        other.load_weights(path.parent / names[1])
        for a, b in zip(other.get_weights(), states[1], strict=True):
            np.testing.assert_array_equal(a, b)

    @pytest.mark.parametrize(("mode", "threshold"), [("auto", None), ("max", None), ("min", 0.5)])
    def test_best_only_as_in_keras(self, tmp_path, mode, threshold):
        values, saved = [3.0, 1.0, 2.0, 0.2, 0.9], []
        for k in (lamella, keras):
            checkpoint = k.callbacks.ModelCheckpoint(
                str(tmp_path / "{epoch}.weights.h5"),
                save_best_only=True,
                save_weights_only=True,
                mode=mode,
                initial_value_threshold=threshold,
            )
            written = []

            class Fake:
                metrics = ()

                def save_weights(self, path, overwrite, into=written):
                    into.append(path)

            checkpoint.set_model(Fake())
            for epoch, value in enumerate(values):
                checkpoint.on_epoch_begin(epoch)
                checkpoint.on_epoch_end(epoch, {"val_loss": value})
            saved.append(written)
        assert saved[0] == saved[1] and 0 < len(saved[0]) < 5

    @pytest.mark.parametrize("every", [2, 3, 5])
    def test_every_so_many_batches_as_in_keras(self, tmp_path, every):
        saved = []
        for k in (lamella, keras):
            checkpoint = k.callbacks.ModelCheckpoint(str(tmp_path / "{epoch}-{batch}.keras"), save_freq=every)
            written = []
            model = a_model(k)
            model.save = lambda path, overwrite, into=written: into.append(path)
            fit(model, checkpoint, epochs=3)
            saved.append(written)
        assert saved[0] == saved[1] and saved[0]

    def test_refusals(self, tmp_path):
        with pytest.raises(ArgumentError, match=r"must end in \.weights\.h5 or \.safetensors"):
            callbacks.ModelCheckpoint("x.keras", save_weights_only=True)
        with pytest.raises(ArgumentError, match=r"must end in \.keras"):
            callbacks.ModelCheckpoint("x.safetensors")
        with pytest.raises(ArgumentError, match="save_freq"):
            callbacks.ModelCheckpoint("x.keras", save_freq="batch")
        with pytest.raises(KeyError, match="val_loss"):
            fit(a_model(), callbacks.ModelCheckpoint(tmp_path / "{val_loss}.keras"))
        unseen = callbacks.ModelCheckpoint(tmp_path / "x.safetensors", save_best_only=True, save_weights_only=True)
        with pytest.warns(UserWarning, match="needs 'val_loss' as a number"):
            fit(a_model(), unseen)
        assert (tmp_path / "x.safetensors").exists()


class TestSwapEMAWeights:
    @pytest.mark.parametrize("on_epoch", [False, True])
    def test_evaluation_and_the_end_are_as_in_keras(self, on_epoch):
        models = [a_model(k, k.optimizers.SGD(0.1, use_ema=True, ema_momentum=0.7)) for k in (lamella, keras)]
        models[1].set_weights(models[0].get_weights())
        histories = [
            fit(
                model,
                k.callbacks.SwapEMAWeights(swap_on_epoch=on_epoch),
                epochs=3,
                shuffle=False,
                validation_data=(X, Y),
            ).history
            for model, k in zip(models, (lamella, keras), strict=True)
        ]
        for name in ("loss", "val_loss"):
            np.testing.assert_allclose(histories[0][name], histories[1][name], rtol=1e-4)
        for a, b in zip(*(model.get_weights() for model in models), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)

    def test_the_validation_is_of_the_average(self):
        model = a_model(optimizer=lamella.optimizers.SGD(0.1, use_ema=True, ema_momentum=0.9))
        seen = {}

        def look(name):
            return lambda *args: seen.__setitem__(name, model.get_weights()[0])

        spy = callbacks.LambdaCallback(on_test_begin=look("test"), on_epoch_end=look("after"))
        fit(model, callbacks.SwapEMAWeights(), spy, validation_data=(X, Y))
        assert not np.allclose(seen["test"], seen["after"])

    def test_an_optimizer_without_an_average_is_refused(self):
        with pytest.raises(ArgumentError, match="use_ema=True"):
            fit(a_model(), callbacks.SwapEMAWeights(), validation_data=(X, Y))


@pytest.mark.parametrize("as_json", [True, False])
def test_remote_monitor(as_json):
    got = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            got.append((self.path, self.headers["Content-Type"], self.headers["X-Key"], body))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *args):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        root = f"http://127.0.0.1:{server.server_port}"
        monitor = callbacks.RemoteMonitor(root, "/here", headers={"X-Key": "k"}, send_as_json=as_json)
        monitor.on_epoch_end(4, {"loss": 0.5})
    finally:
        server.shutdown()
        server.server_close()
    path, kind, key, body = got[0]
    assert (path, key) == ("/here", "k")
    if as_json:
        assert kind == "application/json" and json.loads(body) == {"epoch": 4, "loss": 0.5}
    else:
        assert body == "data=%7B%22epoch%22%3A+4%2C+%22loss%22%3A+0.5%7D"


def test_remote_monitor_without_a_server_warns():
    with pytest.warns(UserWarning, match="cannot be reached"):
        callbacks.RemoteMonitor("http://127.0.0.1:9").on_epoch_end(0, {})


def test_progbar_logger_prints_each_epoch(capsys):
    fit(a_model(), callbacks.ProgbarLogger(), epochs=2, verbose=2)
    out = capsys.readouterr().out
    assert out.count("3/3 - 0s") >= 2 and "loss: " in out


@pytest.mark.parametrize("used", ["ReduceLROnPlateau", "EarlyStopping", "LearningRateScheduler"])
def test_learning_rates_and_stops_as_in_keras(used):
    values = [1.0, 0.9, 0.95, 0.94, 0.93, 0.5, 0.6, 0.6, 0.6, 0.6, 0.6]
    rates = []
    for k in (lamella, keras):
        made = {
            "ReduceLROnPlateau": lambda k: k.callbacks.ReduceLROnPlateau(patience=2, factor=0.5, cooldown=1),
            "EarlyStopping": lambda k: k.callbacks.EarlyStopping(patience=3, start_from_epoch=1),
            "LearningRateScheduler": lambda k: k.callbacks.LearningRateScheduler(lambda epoch, rate: rate * 0.9),
        }[used](k)
        model = a_model(k)
        model.stop_training = False
        made.set_model(model)
        made.on_train_begin()
        seen = []
        for epoch, value in enumerate(values):
            made.on_epoch_begin(epoch)
            made.on_epoch_end(epoch, {"val_loss": value})
            seen.append((float(model.optimizer.learning_rate), model.stop_training))
        rates.append(seen)
    np.testing.assert_allclose(rates[0], rates[1], rtol=1e-6)
    assert len(set(rates[0])) > 1


@pytest.mark.parametrize("k", [lamella, keras], ids=["lamella", "keras"])
def test_the_line_of_an_epoch_has_the_rate_that_callbacks_change(k, capsys):
    scheduler = k.callbacks.LearningRateScheduler(lambda epoch: 0.25 / (epoch + 1))
    fit(a_model(k), scheduler, epochs=2, verbose=2)
    lines = [line for line in capsys.readouterr().out.splitlines() if "loss: " in line]
    assert [line.rpartition("learning_rate: ")[2] for line in lines] == ["0.2500", "0.1250"]


def test_csv_logger_as_in_keras(tmp_path):
    rows = []
    for k in (lamella, keras):
        path = tmp_path / f"{k.__name__}.csv"
        logger = k.callbacks.CSVLogger(str(path))
        logger.set_model(a_model(k))
        logger.model.stop_training = False
        logger.on_train_begin()
        for epoch in range(3):
            logger.on_epoch_end(epoch, {"loss": 0.5 * epoch, "acc": 1.0})
        logger.on_train_end()
        with path.open() as file:
            rows.append([dict(row) for row in csv.DictReader(file)])
    assert rows[0] == rows[1] and len(rows[0]) == 3


@pytest.mark.parametrize("library", ["lamella", "keras"])
def test_the_older_names_of_the_events_of_batches(library):
    """A callback that has both names is called under the newer one alone."""
    k = lamella if library == "lamella" else keras
    calls = []

    class Both(k.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            calls.append("new")

        def on_batch_end(self, batch, logs=None):
            calls.append("old")

    class Older(k.callbacks.Callback):
        def on_batch_begin(self, batch, logs=None):
            calls.append("begin")

        def on_batch_end(self, batch, logs=None):
            calls.append("end")

    class Upwards(k.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            super().on_train_batch_end(batch, logs)

        def on_batch_end(self, batch, logs=None):
            calls.append("upwards")

    model = k.Sequential([k.Input((2,)), k.layers.Dense(1)])
    model.compile("sgd", "mse")
    model.fit(np.ones((4, 2)), np.ones((4, 1)), verbose=0, callbacks=[Both(), Older(), Upwards()])
    assert calls == ["begin", "new", "end", "upwards"]


@pytest.mark.parametrize("library", ["lamella", "keras"])
def test_a_checkpoint_that_others_build_upon(library, tmp_path):
    k = lamella if library == "lamella" else keras
    saved = []

    class Logged(k.callbacks.ModelCheckpoint):
        def on_train_batch_end(self, batch, logs=None):
            if self._should_save_on_batch(batch):
                self._save_model(epoch=self._current_epoch, batch=batch, logs=logs)
                saved.append(self._get_file_path(epoch=self._current_epoch, batch=batch, logs=logs))

    model = k.Sequential([k.Input((2,)), k.layers.Dense(1)])
    model.compile("sgd", "mse")
    logged = Logged(str(tmp_path / "{epoch}-{batch}.keras"), save_freq=2)
    model.fit(np.ones((8, 2)), np.ones((8, 1)), batch_size=2, epochs=2, verbose=0, callbacks=[logged])
    assert [Path(path).name for path in saved] == ["1-2.keras", "1-4.keras", "2-2.keras", "2-4.keras"]
    assert all(Path(path).exists() for path in saved)


def test_early_stopping_can_be_read_before_training():
    theirs, ours = keras.callbacks.EarlyStopping(), lamella.callbacks.EarlyStopping()
    for name in ("wait", "stopped_epoch", "best_weights"):
        assert getattr(ours, name) == getattr(theirs, name)
