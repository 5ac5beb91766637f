"""Models in all their forms: how they are made, what they are made of, what they learn from."""

import copy
import io
import pickle
from contextlib import redirect_stdout

import numpy as np
import pandas as pd
import pytest
import torch

import lamella
from lamella import layers, ops
from lamella.datasets import digits
from lamella.errors import ArgumentError, ShapeError

X = np.random.default_rng(0).normal(size=(64, 4)).astype("float32")
Y = (X.sum(axis=1, keepdims=True) > 0).astype("float32")


def small(**kwargs):
    model = lamella.Sequential([lamella.Input((4,)), layers.Dense(8, "relu"), layers.Dense(1, "sigmoid")])
    model.compile("adam", "binary_crossentropy", metrics=["accuracy"], **kwargs)
    return model


def test_the_digit_classifier_reaches_its_accuracy():
    lamella.utils.set_random_seed(0)
    (x, y), (x_test, y_test) = digits.load_data()
    model = lamella.Sequential([layers.Flatten(input_shape=(8, 8)), layers.Dense(64, "relu"), layers.Dense(10)])
    model.compile("adam", lamella.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
    model.fit(x / 16.0, y, epochs=25, verbose=0)
    assert model.evaluate(x_test / 16.0, y_test, verbose=0)[1] >= 0.96


def test_a_model_without_input_is_built_by_its_data():
    model = lamella.Sequential([layers.Dense(3), layers.Dense(1)])
    assert not model.built
    model.compile("sgd", "mse")
    model.fit(X, Y, verbose=0)
    assert model.built
    assert model.input_shape == (None, 4)


def test_the_older_form_of_sequential():
    model = lamella.Sequential()
    model.add(layers.Dense(10, input_shape=(2,)))
    model.add(layers.Dense(1))
    assert model.count_params() == 41
    assert model.pop().units == 1
    assert model.count_params() == 30
    assert len(model.layers) == 1


def test_a_layer_added_to_a_sequential_is_all_that_is_run_to_find_shapes():
    """Else a hundred layers, added one by one, would be run five thousand times."""
    seen = []

    class Counted(layers.Layer):
        def call(self, x):
            seen.append(self)
            return x

    first = Counted()
    model = lamella.Sequential([lamella.Input((3,)), first])
    at_first = len(seen)
    for units in (4, 5):
        model.add(layers.Dense(units))
    assert len(seen) == at_first
    assert model.output_shape == (None, 5)
    model.pop()
    model.add(layers.Dense(6))
    assert model(torch.ones(2, 3)).shape == (2, 6)


def test_layers_and_models_take_data_frames():
    frame = pd.DataFrame({"a": [1.0, 2.0, 4.0], "b": [3.0, 5.0, 9.0]})
    for take in (layers.Dense(1), lamella.Sequential([layers.Dense(1)]), layers.LayerNormalization()):
        assert torch.equal(take(frame), take(np.array(frame)))
    normalized = layers.Normalization()
    normalized.adapt(np.array(frame.assign(c=[True, False, True])))  # of objects: numbers and truths
    assert normalized.mean[0, 2].item() == pytest.approx(2 / 3)
    assert normalized(frame.assign(c=[1.0, 0.0, 1.0]).iloc[:2]).shape == (2, 3)


def test_data_in_the_place_of_training_are_let_pass():
    """As Keras does, whose guide on masking gives the targets there."""
    inputs = lamella.Input((2,))
    models = lamella.Model(inputs, layers.Dense(1)(inputs)), lamella.Sequential([layers.Dense(1)])
    for model in models:
        assert torch.equal(model(torch.ones(3, 2), np.ones((3, 1))), model(torch.ones(3, 2)))


class Halving(layers.Layer):
    def call(self, x):
        while x.abs().sum() > 1:
            x = x / 2
        return x


def test_a_sequential_without_input_takes_layers_that_look_at_values():
    model = lamella.Sequential([layers.Dense(3), Halving()])
    assert 0.5 < float(model(np.ones((2, 4), "float32")).detach().abs().sum()) <= 1
    assert model.count_params() == 15
    model.compile("sgd", "mse")
    model.fit(np.ones((4, 4), "float32"), np.ones((4, 3), "float32"), verbose=0)


class StepByStep(layers.Layer):
    def call(self, x):
        found = ops.zeros((ops.shape(x)[0], x.shape[-1]))
        for step in ops.arange(x.shape[1]):
            found = found + x[:, step]
        return found


def test_numbers_of_a_range_are_places_while_shapes_are_found():
    model = lamella.Sequential([lamella.Input((3, 2)), StepByStep()])
    assert model.output_shape == (None, 2)
    assert model(torch.ones(4, 3, 2)).tolist() == [[3.0, 3.0]] * 4


def test_an_input_layer_by_its_earlier_names():
    for first in (layers.InputLayer(input_shape=[2, 3]), layers.InputLayer(batch_input_shape=(None, 2, 3))):
        assert lamella.Sequential([first, layers.Flatten()]).output_shape == (None, 6)
    with pytest.raises(ArgumentError, match="no argument 'shapes'"):
        layers.InputLayer(shapes=(2,))


def test_a_subclassed_model_with_lists_of_layers():
    class Net(lamella.Model):
        def __init__(self):
            super().__init__()
            self.blocks = []
            for units in (8, 6):
                self.blocks.append(layers.Dense(units, "relu"))
            self.heads = {"one": layers.Dense(1)}
            self.drop = layers.Dropout(0.5)

        def call(self, x, training=None):
            self.was_training = training
            for block in self.blocks:
                x = self.drop(block(x), training=training)
            return self.heads["one"](x)

    net = Net()
    net.compile("adam", "mse")
    net.fit(X, Y, verbose=0)
    assert net.was_training is True
    net.predict(X, verbose=0)
    assert net.was_training is False
    assert len(net.trainable_weights) == 6
    assert "blocks.0.kernel" in net.state_dict()
    assert len(list(net.parameters())) == 6
    twin = copy.deepcopy(net)
    assert np.array_equal(twin.predict(X, verbose=0), net.predict(X, verbose=0))
    twin.fit(X, Y, verbose=0)
    assert not np.array_equal(twin.predict(X, verbose=0), net.predict(X, verbose=0))


def test_operators_and_torch_functions_in_a_functional_model():
    inputs = lamella.Input((4,))
    h = layers.Dense(6)(inputs)
    h = torch.cat([h, -h], -1) * 2 + inputs.sum(-1, keepdim=True) / 3
    first, second = torch.split(torch.relu(h), 6, dim=-1)
    outputs = layers.Dense(1)((first - second)[:, 1:5].square())
    assert outputs.shape == (None, 1)
    model = lamella.Model(inputs, outputs)
    dense, last = (layer for layer in model.layers if layer.weights)
    x = torch.tensor(X)
    h = dense(x)
    h = torch.relu(torch.cat([h, -h], -1) * 2 + x.sum(-1, keepdim=True) / 3)
    expected = last((h[:, :6] - h[:, 6:])[:, 1:5].square())
    torch.testing.assert_close(model(x), expected)


def test_comparing_with_a_number_is_part_of_the_model():
    inputs = lamella.Input((None,), dtype="int64")
    mask = inputs != 0
    assert mask.shape == (None, None) and mask.dtype is torch.bool
    model = lamella.Model(inputs, layers.Lambda(lambda x: x.sum(-1))(mask))
    assert model(torch.tensor([[1, 0, 2], [0, 0, 3]])).tolist() == [2, 1]


@pytest.mark.parametrize("time", [5, 9])
def test_unknown_dimensions(time):
    inputs = lamella.Input((None, 3))
    h = layers.Dense(4)(inputs)
    pooled = h.mean(dim=1)
    assert h.shape == (None, None, 4)
    assert pooled.shape == (None, 4)
    model = lamella.Model(inputs, [h, pooled])
    a, b = model.predict(np.ones((2, time, 3)), verbose=0)
    assert a.shape == (2, time, 4)
    assert b.shape == (2, 4)


def test_a_chain_without_input_takes_sizes_that_no_layer_needs(tmp_path):
    model = lamella.Sequential([layers.Dense(4)])
    assert model(np.ones((2, 10, 3))).shape == (2, 10, 4)
    model.save(tmp_path / "m.keras")
    for each in (model, lamella.models.load_model(tmp_path / "m.keras")):
        assert each(np.ones((2, 20, 3))).shape == (2, 20, 4)
        assert each.input_shape == (None, None, 3)
        with pytest.raises(
            ShapeError, match=r"must have shape \(None, None, 3\), but the data have shape \(None, 9, 5\)"
        ):
            each(np.ones((2, 9, 5)))


def test_a_layer_that_comes_twice_is_one(tmp_path):
    shared = layers.Dense(4, "relu", name="shared")
    model = lamella.Sequential([lamella.Input((4,)), shared, layers.Dense(4), shared, layers.Dense(1)])
    assert len(model.weights) == 6 and len(model.layers) == 4 and model.layers[2] is shared
    model.save(tmp_path / "m.keras")
    loaded = lamella.models.load_model(tmp_path / "m.keras")
    assert len(loaded.weights) == 6 and loaded.layers[0] is loaded.layers[2]
    np.testing.assert_array_equal(loaded.predict(X, verbose=0), model.predict(X, verbose=0))
    model.pop()
    model.pop()
    assert len(model.weights) == 4 and model.layers[0] is shared
    with pytest.raises(ArgumentError, match="already has a layer named 'shared'"):
        model.add(layers.Dense(4, name="shared"))


def test_a_chain_without_input_refuses_sizes_that_a_layer_needs():
    model = lamella.Sequential([layers.Flatten(), layers.Dense(2)])
    assert model(np.ones((2, 10, 3))).shape == (2, 2)
    with pytest.raises(ShapeError, match=r"must have shape \(None, 10, 3\), but the data have shape \(None, 20, 3\)"):
        model(np.ones((2, 20, 3)))
    assert model(np.ones((2, 10, 3))).shape == (2, 2)


def test_a_chain_within_a_layer_of_unknown_length():
    class Block(layers.Layer):
        def __init__(self):
            super().__init__()
            self.chain = lamella.Sequential([layers.Dense(8, "relu"), layers.Dense(3)])

        def call(self, inputs):
            return inputs + self.chain(inputs)

    inputs = lamella.Input((None, 3))
    outputs = Block()(Block()(inputs))
    assert outputs.shape == (None, None, 3)
    model = lamella.Model(inputs, outputs)
    assert [model(torch.ones(2, time, 3)).shape[1] for time in (5, 9)] == [5, 9]


def test_pictures_of_unknown_size():
    inputs = lamella.Input((None, None, 3))
    h = layers.MaxPooling2D()(layers.Conv2D(4, 3, padding="same")(inputs))
    assert h.shape == (None, None, None, 4)
    assert layers.GlobalAveragePooling2D()(h).shape == (None, 4)


def test_dict_outputs_and_targets():
    inputs = lamella.Input((4,))
    model = lamella.Model(inputs, {"p": layers.Dense(1)(inputs), "q": layers.Dense(2)(inputs)})
    model.compile("sgd", {"p": "mse", "q": "mse"})
    history = model.fit(X, {"p": Y, "q": np.hstack([Y, Y])}, verbose=0, epochs=2)
    assert set(history.history) == {"loss", "p_loss", "q_loss"}
    assert set(model.predict(X, verbose=0)) == {"p", "q"}


@pytest.mark.parametrize("kind", [tuple, list])
def test_a_subclassed_model_with_two_outputs(kind):
    class Two(lamella.Model):
        def __init__(self):
            super().__init__()
            self.number, self.classes = layers.Dense(1), layers.Dense(3, activation="softmax")

        def call(self, inputs):
            return kind([self.number(inputs), self.classes(inputs)])

    model, numbers = Two(), np.arange(len(X)) % 3
    model.compile("sgd", ["mse", "sparse_categorical_crossentropy"], metrics=[["mae"], ["accuracy"]])
    history = model.fit(X, [Y, numbers], validation_data=(X, [Y, numbers]), verbose=0).history
    each = ["mse_loss", "sparse_categorical_crossentropy_loss"]  # as Keras names them where outputs have no names
    assert history["loss"][0] == pytest.approx(sum(history[name][0] for name in each), rel=1e-5)
    assert {"mae", "accuracy", "val_mae", "val_accuracy"} < set(history)
    model.compile("sgd", "mse", metrics=[["mae"], ["mae"]])  # where they would be the same, losses by place
    again = model.fit(X, [Y, np.eye(3)[numbers]], verbose=0).history
    assert set(again) == {"loss", "output_0_loss", "output_1_loss", "mae", "mae_1"}
    model.compile("sgd", ["mse", "sparse_categorical_crossentropy"], metrics=[["mae"], ["accuracy"]])
    assert len(model.evaluate(X, [Y, numbers], verbose=0)) == 5
    assert [part.shape for part in model.predict(X, verbose=0)] == [(len(X), 1), (len(X), 3)]
    with pytest.raises(ShapeError, match="sparse_categorical_crossentropy"):
        model.fit(X, [Y, np.zeros((len(X), 4))], verbose=0)


@pytest.mark.parametrize("kind", [list, tuple])
def test_one_output_in_a_list_comes_by_itself(kind):
    inputs = lamella.Input((4,))
    inner = lamella.Model(kind([inputs]), kind([layers.Dense(3)(inputs)]))
    assert inner.output_shape == (None, 3) and inner.input_shape == (None, 4) and len(inner.output) == 1
    model = lamella.Model(inputs, kind([layers.Dense(1)(inner(inputs))]))
    model.compile("sgd", "mse", metrics=["mae"])
    model.fit(X, Y, verbose=0)
    assert model.predict(X, verbose=0).shape == model(torch.tensor(X)).shape == (64, 1)
    assert inner([X]).shape == (64, 3)


def test_a_last_axis_of_one_may_be_there_or_not():
    wide, flat = lamella.Input((1,)), lamella.Input(())
    model, other = lamella.Model(wide, wide * 2.0), lamella.Model(flat, flat * 2.0)
    column = np.arange(4.0)[:, None]
    np.testing.assert_array_equal(model.predict(column[:, 0], verbose=0), 2 * column)
    np.testing.assert_array_equal(other.predict(column, verbose=0), 2 * column[:, 0])
    with pytest.raises(ShapeError, match="must have shape"):
        other.predict(np.ones((4, 2)), verbose=0)


def test_one_batch_of_lists():
    model = lamella.Sequential([lamella.Input((2,)), layers.Dense(1)])
    model.compile("sgd", "mse")
    assert model.predict_on_batch([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]).shape == (3, 1)
    assert model.train_on_batch([[1.0, 2.0], [3.0, 4.0]], [1.0, 2.0]) >= 0


def test_a_class_that_takes_no_name_is_saved_with_it(tmp_path):
    @lamella.saving.register_keras_serializable("test_models")
    class Plain(lamella.Model):
        def __init__(me):
            super().__init__(name="plain")
            me.dense = layers.Dense(2)

        def call(me, inputs):
            return me.dense(inputs)

    model = Plain()
    model.trainable = False
    x = np.ones((3, 4), "float32")
    expected = model.predict(x, verbose=0)
    model.save(tmp_path / "plain.keras")
    loaded = lamella.saving.load_model(tmp_path / "plain.keras")
    assert loaded.name == "plain" and not loaded.trainable
    np.testing.assert_array_equal(loaded.predict(x, verbose=0), expected)


def test_features_of_an_inner_layer():
    model = small()
    features = lamella.Model(model.inputs, model.layers[0].output)
    np.testing.assert_allclose(
        features.predict(X, verbose=0), model.layers[0](torch.tensor(X)).detach().numpy(), rtol=1e-6
    )


def test_freezing():
    base = lamella.Sequential([lamella.Input((4,)), layers.Dense(8, "relu"), layers.BatchNormalization()])
    base.trainable = False
    inputs = lamella.Input((4,))
    model = lamella.Model(inputs, layers.Dense(1)(base(inputs, training=False)))
    model.compile("adam", "mse")
    before, head = base.get_weights(), model.layers[-1].get_weights()
    model.fit(X, Y, verbose=0)
    assert all(np.array_equal(a, b) for a, b in zip(base.get_weights(), before, strict=True))
    assert not np.array_equal(head[0], model.layers[-1].get_weights()[0])
    assert len(model.trainable_weights) == 2
    base.trainable = True
    assert len(model.trainable_weights) == 6
    model.compile("adam", "mse")
    model.fit(X, Y, verbose=0)
    assert not np.array_equal(before[0], base.get_weights()[0])


def test_add_loss_counts_once_and_trains():
    class Penalty(layers.Layer):
        def call(self, x):
            self.add_loss(10.0 * x.square().mean())
            return x

    model = lamella.Sequential([lamella.Input((4,)), layers.Dense(2, use_bias=False), Penalty()])
    model.compile(lamella.optimizers.SGD(0.0), None)
    loss = model.fit(X, epochs=2, verbose=0).history["loss"]
    expected = 10 * np.square(model.predict(X, verbose=0)).mean()
    assert loss == pytest.approx([expected, expected], rel=1e-4)


def test_a_metric_that_the_model_updates():
    class Net(lamella.Model):
        def __init__(self):
            super().__init__()
            self.dense = layers.Dense(1)
            self.size = lamella.metrics.Mean(name="size")

        def call(self, x):
            y = self.dense(x)
            self.size.update_state(y.detach().abs())
            return y

    net = Net()
    net.compile("sgd", "mse")
    assert "size" in net.fit(X, Y, verbose=0).history


SOURCES = {
    "numpy": lambda: (X, Y),
    "float64": lambda: (X.astype("float64"), Y.astype("float64")),
    "tensors": lambda: (torch.tensor(X), torch.tensor(Y)),
    "lists": lambda: (X.tolist(), Y.tolist()),
    "pandas": lambda: (pd.DataFrame(X), pd.Series(Y[:, 0])),
    "loader": lambda: (
        torch.utils.data.DataLoader(torch.utils.data.TensorDataset(torch.tensor(X), torch.tensor(Y)), batch_size=16),
    ),
    "dataset": lambda: (torch.utils.data.TensorDataset(torch.tensor(X), torch.tensor(Y)),),
    "list of batches": lambda: ([(X[:32], Y[:32]), (X[32:], Y[32:])],),
}


@pytest.mark.parametrize("kind", [k for k in SOURCES if k != "list of batches"])
def test_data_of_every_kind(kind):
    model = small()
    history = model.fit(*SOURCES[kind](), epochs=12, verbose=0).history
    assert history["loss"][-1] < history["loss"][0]


def test_generators():
    def forever():
        while True:
            yield X[:16], Y[:16]

    model = small()
    history = model.fit(forever(), steps_per_epoch=5, epochs=3, verbose=0)
    assert len(history.history["loss"]) == 3
    assert int(model.optimizer.iterations) == 15
    with pytest.warns(UserWarning, match="ran out after 2 of 5 batches"):
        model.fit(((X[:8], Y[:8]) for _ in range(2)), steps_per_epoch=5, verbose=0)


class Batches(lamella.utils.PyDataset):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.ended = 0

    def __len__(self):
        return 4

    def __getitem__(self, index):
        part = slice(16 * index, 16 * index + 16)
        return X[part], Y[part]

    def on_epoch_end(self):
        self.ended += 1


@pytest.mark.parametrize("workers", [1, 2])
def test_py_dataset(workers):
    data = Batches(workers=workers)
    model = small()
    model.fit(data, epochs=2, verbose=0, validation_data=data)
    assert data.ended >= 2
    np.testing.assert_allclose(model.evaluate(data, verbose=0), model.evaluate(X, Y, verbose=0), rtol=1e-5)


def test_shuffling_covers_every_sample_once():
    seen = []
    model = small()
    model.fit(
        np.arange(64.0).reshape(64, 1) * np.ones((1, 4)),
        Y,
        verbose=0,
        batch_size=10,
        callbacks=[lamella.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: seen.append(batch))],
    )
    assert seen == list(range(7))
    from lamella.data.adapters import make_source

    source = make_source(np.arange(50.0).reshape(50, 1), np.arange(50), batch_size=7, shuffle=True)
    rows = torch.cat([y for _, y, _ in source.batches()])
    assert sorted(rows.tolist()) == list(range(50))
    assert rows.tolist() != list(range(50))
    assert all(torch.equal(x[:, 0].long(), y) for x, y, _ in source.batches())


def test_callbacks_see_numbers_and_can_stop():
    class Stop(lamella.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            assert isinstance(logs["loss"], float)
            if epoch == 1:
                self.model.stop_training = True

    assert len(small().fit(X, Y, epochs=9, verbose=0, callbacks=[Stop()]).epoch) == 2


def test_early_stopping_restores_the_best_weights():
    model = small()
    stop = lamella.callbacks.EarlyStopping(monitor="loss", patience=1, restore_best_weights=True, mode="max")
    history = model.fit(X, Y, epochs=9, verbose=0, callbacks=[stop])
    assert len(history.epoch) == 2
    assert stop.best_epoch == 0


def test_learning_rate_callbacks():
    model = small()
    schedule = lamella.callbacks.LearningRateScheduler(lambda epoch: 0.1 / (epoch + 1))
    assert model.fit(X, Y, epochs=2, verbose=0, callbacks=[schedule]).history["learning_rate"] == [0.1, 0.05]
    plateau = lamella.callbacks.ReduceLROnPlateau("loss", factor=0.5, patience=1, min_delta=1e9)
    rates = model.fit(X, Y, epochs=4, verbose=0, callbacks=[plateau]).history["learning_rate"]
    assert rates[-1] < rates[0]


def test_two_seeded_runs_are_bit_equal():
    def run():
        lamella.utils.set_random_seed(3)
        model = lamella.Sequential([layers.Dense(8, "relu"), layers.Dropout(0.3), layers.Dense(1)])
        model.compile("adam", "mse")
        model.fit(X, Y, epochs=3, verbose=0)
        return model.get_weights()

    assert all(np.array_equal(a, b) for a, b in zip(run(), run(), strict=True))


def test_summary_names_layers_shapes_and_numbers():
    text = []
    small().summary(print_fn=text.append)
    shown = "\n".join(text)
    assert "Dense" in shown
    assert "(None, 8)" in shown
    assert "Total weights: 49" in shown


def test_verbose_two_prints_a_line_as_keras_does():
    out = io.StringIO()
    model = small()
    with redirect_stdout(out):
        model.evaluate(X, Y, verbose=2)
    assert out.getvalue().startswith("2/2 - 0s - ")
    assert "loss: " in out.getvalue() and "accuracy: " in out.getvalue()


def test_weights_in_a_file(tmp_path):
    model, other = small(), small()
    path = tmp_path / "w.safetensors"
    model.save_weights(path)
    other.load_weights(path)  # the same model, whose layers have other automatic names
    assert np.array_equal(other.predict(X, verbose=0), model.predict(X, verbose=0))
    twin = copy.deepcopy(model)
    twin.set_weights([w * 0 for w in twin.get_weights()])
    twin.load_weights(path)
    assert np.array_equal(twin.predict(X, verbose=0), model.predict(X, verbose=0))
    before = twin.get_weights()
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(ValueError, match="damaged"):
        twin.load_weights(path)
    assert all(np.array_equal(a, b) for a, b in zip(before, twin.get_weights(), strict=True))


def test_ctrl_c_keeps_the_history():
    class Interrupt(lamella.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if batch == 1 and len(self.model.history.epoch) == 2:
                raise KeyboardInterrupt

    model = small()
    history = model.fit(X, Y, epochs=9, verbose=0, callbacks=[Interrupt()])
    assert len(history.history["loss"]) == 2
    assert model.training is False
    model.fit(X, Y, verbose=0)


def test_relu_and_pooling_fused_equal_apart():
    model = lamella.Sequential(
        [lamella.Input((8, 8, 2)), layers.Conv2D(3, 3, activation="relu"), layers.MaxPooling2D(), layers.Flatten()]
    )
    x = torch.randn(4, 8, 8, 2)
    apart = model.layers[2](model.layers[1](model.layers[0](x)))
    weights = model.trainable_weights
    torch.testing.assert_close(model(x), apart)
    for a, b in zip(
        torch.autograd.grad(model(x).square().sum(), weights),
        torch.autograd.grad(apart.square().sum(), weights),
        strict=True,
    ):
        torch.testing.assert_close(a, b)
    twin = copy.deepcopy(model)
    twin.layers[0].set_weights([w * 0 for w in twin.layers[0].get_weights()])
    assert model(x).abs().sum() > 0  # a copy has layers of its own
    assert twin(x).abs().sum() == 0
    seen = []
    model.layers[0].register_forward_hook(lambda layer, inputs, output: seen.append(output.min().item()))
    model(x)
    assert seen[0] == 0.0  # a hook sees the output after the relu, as without the fusion


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])
def test_a_trained_model_can_be_copied_and_pickled(copied):
    model = lamella.Sequential(
        [
            lamella.Input((4,)),
            lamella.layers.Dense(3, "relu"),
            lamella.layers.Dropout(0.2, seed=1),
            lamella.layers.Dense(1),
        ]
    )
    model.compile("adam", "mse", metrics=["mae"])
    x = np.random.default_rng(0).random((20, 4)).astype("float32")
    model.fit(x, x[:, :1], epochs=3, verbose=0)
    again = copied(model)
    np.testing.assert_array_equal(again.predict(x, verbose=0), model.predict(x, verbose=0))
    assert int(again.optimizer.iterations) == 3
    before = model.get_weights()
    again.fit(x, x[:, :1], verbose=0)
    for one, other in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(one, other)
    assert any((one != other).any() for one, other in zip(again.get_weights(), before, strict=True))


@pytest.mark.filterwarnings("error")
def test_a_model_saved_before_its_first_step_loads_without_a_word(tmp_path):
    model = lamella.Sequential([lamella.Input((4,)), lamella.layers.Dense(1)])
    model.compile("adam", "mse")
    model.save(tmp_path / "m.keras")
    assert int(lamella.models.load_model(tmp_path / "m.keras").optimizer.iterations) == 0


@pytest.mark.parametrize("policy", ["float32", "float64", "mixed_bfloat16"])
def test_data_come_in_the_type_of_the_model(policy):
    seen = []

    class Look(layers.Layer):
        def call(self, inputs):
            seen.append(inputs.dtype)
            return inputs

    lamella.config.set_dtype_policy(policy)
    try:
        model = lamella.Sequential([Look(), layers.Dense(1)])
    finally:
        lamella.config.set_dtype_policy(None)
    model.compile("sgd", "mse")
    x = np.full((4, 2), 1 / 3)
    model.fit(x, x[:, :1], verbose=0)
    model.predict(x, verbose=0)
    expected = {"float32": torch.float32, "float64": torch.float64, "mixed_bfloat16": torch.bfloat16}[policy]
    assert set(seen) == {expected}
    if policy == "float64":
        model.layers[-1].set_weights([np.ones((2, 1)), np.zeros(1)])
        assert model.predict(x, verbose=0)[0, 0] == 2 / 3
