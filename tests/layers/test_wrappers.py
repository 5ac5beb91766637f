"""Bidirectional, TimeDistributed and Wrapper against real Keras."""

import inspect

import numpy as np
import pytest
import torch

import lamella
from lamella import layers

keras = pytest.importorskip("keras")

MASK = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0], [0, 0, 1, 0, 1]], dtype=torch.bool)


def close(ours, theirs, tolerance=2e-5):
    np.testing.assert_allclose(
        np.asarray(torch.as_tensor(ours).detach()),
        np.asarray(torch.as_tensor(theirs).detach()),
        rtol=tolerance,
        atol=tolerance,
    )


def leaves(outputs):
    return torch.utils._pytree.tree_leaves(outputs)


def twins(make, shape, rng):
    """What `make` makes from our layers and from Keras's, with the same random weights; and an input."""
    ours, theirs = make(layers), make(keras.layers)
    x = torch.tensor(rng.normal(size=shape).astype("float32"))
    ours(x), theirs(x)
    assert [tuple(w.shape) for w in ours.weights] == [tuple(w.shape) for w in theirs.weights]
    values = [rng.uniform(0.1, 0.9, size=tuple(w.shape)).astype("float32") for w in theirs.weights]
    ours.set_weights(values), theirs.set_weights(values)
    return ours, theirs, x


def compare(ours, theirs, x, rng, **call):
    a, b = x.clone().requires_grad_(), x.clone().requires_grad_()
    y_ours, y_theirs = leaves(ours(a, **call)), leaves(theirs(b, **call))
    assert len(y_ours) == len(y_theirs)
    totals = [0.0, 0.0]
    for one, other in zip(y_ours, y_theirs, strict=True):
        close(one, other)
        upstream = torch.tensor(rng.normal(size=tuple(one.shape)).astype("float32"))
        totals = [totals[0] + (one * upstream).sum(), totals[1] + (other * upstream).sum()]
    grads_ours = torch.autograd.grad(totals[0], [a, *ours.trainable_weights])
    grads_theirs = torch.autograd.grad(totals[1], [b, *[w.value for w in theirs.trainable_weights]])
    for one, other in zip(grads_ours, grads_theirs, strict=True):
        close(one, other, 1e-4)


def both_configs(ours, theirs, x, **call):
    """Each read from the other's config, and ours from its own, computes the same."""
    missing = set(theirs.get_config()) - set(ours.get_config()) - {"quantization_config"}
    assert not missing, f"keys of Keras's config that ours lacks: {missing}"
    assert layers.deserialize(layers.serialize(ours)).get_config() == ours.get_config()
    expected = leaves(ours(x, **call))
    for made in (layers.deserialize(keras.layers.serialize(theirs)), keras.layers.deserialize(layers.serialize(ours))):
        made(x, **call)
        made.set_weights(ours.get_weights())
        for one, other in zip(leaves(made(x, **call)), expected, strict=True):
            close(one, other)


# -- Bidirectional ------------------------------------------------------------------------------------------


MODES = ["concat", "sum", "mul", "ave", None]
RETURNED = [{}, {"return_sequences": True}, {"return_sequences": True, "return_state": True}, {"return_state": True}]
BIDIRECTIONAL = [("LSTM", arguments, mode) for arguments in RETURNED for mode in MODES]
BIDIRECTIONAL += [(name, RETURNED[i % 4], mode) for name in ("SimpleRNN", "GRU") for i, mode in enumerate(MODES)]


@pytest.mark.parametrize(("name", "arguments", "mode"), BIDIRECTIONAL)
def test_bidirectional(name, arguments, mode, rng):
    def make(module):
        return module.Bidirectional(getattr(module, name)(4, **arguments), merge_mode=mode)

    ours, theirs, x = twins(make, (3, 5, 2), rng)
    compare(ours, theirs, x, rng)
    compare(ours, theirs, x, rng, mask=MASK)
    both_configs(ours, theirs, x)


@pytest.mark.parametrize("name", ["LSTM", "GRU"])
def test_bidirectional_from_given_states(name, rng):
    ours, theirs, x = twins(
        lambda module: module.Bidirectional(getattr(module, name)(4, return_state=True)), (3, 5, 2), rng
    )
    states = [torch.tensor(rng.normal(size=(3, 4)).astype("float32")) for _ in range(4 if name == "LSTM" else 2)]
    compare(ours, theirs, x, rng, initial_state=states)


def test_a_backward_layer_of_its_own(rng):
    def make(module):
        return module.Bidirectional(
            module.LSTM(4, return_sequences=True),
            backward_layer=module.GRU(3, return_sequences=True, go_backwards=True),
        )

    ours, theirs, x = twins(make, (3, 5, 2), rng)
    compare(ours, theirs, x, rng, mask=MASK)
    both_configs(ours, theirs, x)
    assert ours.forward_layer.zero_output_for_mask and ours.backward_layer.zero_output_for_mask


def test_bidirectional_rnn_of_cells(rng):
    ours, theirs, x = twins(
        lambda module: module.Bidirectional(module.RNN([module.LSTMCell(4), module.GRUCell(3)])), (3, 5, 2), rng
    )
    compare(ours, theirs, x, rng)
    both_configs(ours, theirs, x)


def test_bidirectional_names_masks_weights_and_states(rng):
    layer = layers.Bidirectional(layers.LSTM(4, return_sequences=True, name="memory"), merge_mode=None)
    assert (layer.forward_layer.name, layer.backward_layer.name) == ("forward_memory", "backward_memory")
    embedded = layers.Embedding(9, 3, mask_zero=True)(torch.tensor([[3, 1, 0], [2, 0, 0]]))
    for output in layer(embedded):
        assert torch.equal(output._keras_mask, embedded._keras_mask)
    again = layers.Bidirectional(layers.LSTM(4), weights=layer.get_weights())
    again(embedded)
    for one, other in zip(again.get_weights(), layer.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    stateful = layers.Bidirectional(layers.GRU(3, stateful=True))
    assert stateful.states is None
    x = torch.ones(2, 4, 3)
    first = stateful(x)
    assert not torch.equal(first, stateful(x)) and len(stateful.states) == 2
    stateful.reset_state()
    assert torch.equal(first, stateful(x))


def test_bidirectional_in_models(rng):
    inputs = lamella.Input((None, 2))
    outputs, *states = layers.Bidirectional(layers.LSTM(4, return_sequences=True, return_state=True))(inputs)
    assert outputs.shape == (None, None, 8) and [state.shape for state in states] == [(None, 4)] * 4
    h = layers.Bidirectional(layers.LSTM(4))(outputs, initial_state=states)
    model = lamella.Model(inputs, layers.Dense(1)(h))
    x = rng.normal(size=(8, 5, 2)).astype("float32")
    sequential = lamella.Sequential([layers.Bidirectional(layers.GRU(4)), layers.Dense(1)])
    for each in (model, sequential):
        each.compile("adam", "mse")
        each.predict(x, verbose=0)
        before = each.get_weights()
        each.fit(x, np.ones((8, 1)), batch_size=4, verbose=0)
        assert all(not np.array_equal(a, b) for a, b in zip(each.get_weights(), before, strict=True))


def test_a_frozen_bidirectional_is_not_trained():
    layer = layers.Bidirectional(layers.LSTM(3), trainable=False)
    layer(torch.ones(1, 2, 2))
    assert not layer.trainable_weights and len(layer.weights) == 6


# -- TimeDistributed ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "shape"),
    [
        (lambda m: m.TimeDistributed(m.Dense(3, activation="relu")), (3, 5, 2)),
        (lambda m: m.TimeDistributed(m.Conv2D(4, 3, padding="same")), (2, 3, 6, 6, 2)),
        (lambda m: m.TimeDistributed(m.Flatten()), (2, 3, 4, 2)),
        (lambda m: m.TimeDistributed(m.LSTM(4, return_sequences=True)), (3, 5, 4, 2)),
        (lambda m: m.TimeDistributed(m.BatchNormalization()), (3, 5, 2)),
        (lambda m: m.TimeDistributed(m.TimeDistributed(m.Dense(2))), (2, 3, 4, 5)),
    ],
    ids=["Dense", "Conv2D", "Flatten", "LSTM", "BatchNormalization", "TimeDistributed"],
)
def test_time_distributed(make, shape, rng):
    ours, theirs, x = twins(make, shape, rng)
    compare(ours, theirs, x, rng)
    both_configs(ours, theirs, x)
    reference = make(keras.layers)(keras.Input(shape[1:]))
    assert make(layers)(lamella.Input(shape[1:])).shape == tuple(reference.shape)
    assert make(layers)(lamella.Input((None, *shape[2:]))).shape == (None, None, *tuple(reference.shape)[2:])


def test_time_distributed_batch_normalization_trains_step_by_step(rng):
    ours, theirs, x = twins(lambda m: m.TimeDistributed(m.BatchNormalization()), (6, 4, 3), rng)
    close(ours(x, training=True), theirs(x, training=True))
    for one, other in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        close(one, other)


def test_time_distributed_asks_layers_of_one_s_own_step_by_step():
    class Centred(layers.Layer):
        def call(self, inputs):
            return inputs - inputs.mean()

    x = torch.arange(12.0).reshape(2, 3, 2)
    layer = layers.TimeDistributed(Centred())
    close(layer(x), torch.stack([x[:, t] - x[:, t].mean() for t in range(3)], 1))
    assert layer(lamella.Input((None, 2))).shape == (None, None, 2)


def test_time_distributed_of_a_model(rng):
    inner = lamella.Sequential([lamella.Input((4,)), layers.Dense(3), layers.Dropout(0.5)])
    layer = layers.TimeDistributed(inner)
    x = torch.tensor(rng.normal(size=(2, 5, 4)).astype("float32"))
    close(layer(x), torch.stack([inner(x[:, t]) for t in range(5)], 1))
    assert not torch.equal(layer(x, training=True), layer(x))


def test_time_distributed_masks(rng):
    embedded = layers.Embedding(9, 4, mask_zero=True)(torch.tensor([[3, 1, 0], [2, 0, 0]]))
    assert torch.equal(layers.TimeDistributed(layers.Dense(2))(embedded)._keras_mask, embedded._keras_mask)
    # Sentences of words: the words' mask goes to the inner LSTM, and a sentence without words is padding.
    words = torch.tensor([[[3, 1, 0], [2, 0, 0], [0, 0, 0]], [[1, 1, 1], [0, 4, 0], [2, 2, 0]]])
    embedded = layers.Embedding(9, 4, mask_zero=True)(words)
    inner = layers.LSTM(5)
    layer = layers.TimeDistributed(inner)
    sentences = layer(embedded)
    for i in range(2):
        for t in range(3):
            close(sentences[i, t], inner(embedded[i : i + 1, t], mask=words[i : i + 1, t] != 0)[0])
    assert sentences._keras_mask.tolist() == [[True, True, False], [True, True, True]]
    theirs = keras.layers.TimeDistributed(keras.layers.LSTM(5))
    theirs(embedded.detach())
    theirs.set_weights(layer.get_weights())
    close(sentences, theirs(embedded.detach(), mask=words != 0))


def test_time_distributed_trains(rng):
    model = lamella.Sequential(
        [lamella.Input((5, 6, 2)), layers.TimeDistributed(layers.GRU(3)), layers.LSTM(3), layers.Dense(1)]
    )
    model.compile("adam", "mse")
    before = model.get_weights()
    model.fit(rng.normal(size=(8, 5, 6, 2)).astype("float32"), np.ones((8, 1)), batch_size=4, verbose=0)
    assert all(not np.array_equal(a, b) for a, b in zip(model.get_weights(), before, strict=True))


# -- Wrapper, arguments, errors -----------------------------------------------------------------------------


@lamella.saving.register_keras_serializable("wrapper_tests")
class Twice(layers.Wrapper):
    def call(self, inputs):
        return 2 * self.layer(inputs)


def test_wrapper(rng):
    x = torch.tensor(rng.normal(size=(3, 2)).astype("float32"))
    layer = Twice(layers.Dense(4))
    close(layer(x), 2 * layer.layer(x))
    again = layers.deserialize(layers.serialize(layer))
    assert isinstance(again, Twice) and again.get_config() == layer.get_config()
    built = Twice(layers.Dense(4))
    built.build((None, 2))
    assert [tuple(w.shape) for w in built.layer.weights] == [(2, 4), (4,)]
    frozen = Twice(layers.Dense(4), trainable=False)
    frozen(x)
    assert not frozen.trainable_weights


@pytest.mark.parametrize("name", ["Bidirectional", "TimeDistributed", "Wrapper", "Masking"])
def test_arguments_are_keras_s_in_order(name):
    ours, theirs = (
        list(inspect.signature(getattr(module, name).__init__).parameters) for module in (layers, keras.layers)
    )
    assert ours == theirs


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: layers.Bidirectional("LSTM"), "Bidirectional .* wraps a layer; got 'LSTM'"),
        (lambda: layers.Bidirectional(layers.Dense(3)), "wraps a recurrent layer"),
        (lambda: layers.Bidirectional(layers.LSTM(3), merge_mode="max"), "`merge_mode` must be one of"),
        (
            lambda: layers.Bidirectional(layers.LSTM(3), backward_layer=layers.LSTM(3)),
            "both have go_backwards=False",
        ),
        (
            lambda: layers.Bidirectional(
                layers.LSTM(3), backward_layer=layers.LSTM(3, go_backwards=True, return_sequences=True)
            ),
            "the same `return_sequences`",
        ),
        (lambda: layers.Wrapper(3), "Wrapper .* wraps a layer; got 3"),
        (lambda: layers.TimeDistributed(torch.nn.Linear(2, 3)), r"TorchModule\(module\)"),
        (lambda: layers.TimeDistributed(layers.Dense(3))(torch.ones(2, 3)), r"takes inputs \(batch, time, ...\)"),
        (
            lambda: layers.TimeDistributed(layers.Dense(3))(torch.ones(2, 3, 4), mask=torch.ones(2, 4)),
            r"must begin with \(batch, time\) = \(2, 3\)",
        ),
    ],
)
def test_errors_say_what_is_wrong(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_only_a_stateful_bidirectional_has_states_to_reset():
    with pytest.raises(AttributeError, match="is not stateful"):
        layers.Bidirectional(layers.LSTM(3)).reset_state()
