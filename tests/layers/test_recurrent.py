"""Recurrent layers compute what real Keras's compute, fused or step by step: outputs, states, gradients, configs."""

import copy
import inspect

import numpy as np
import pytest
import torch

import lamella
from lamella import layers

keras = pytest.importorskip("keras")

SHAPE = (3, 5, 4)

CASES = [
    ("SimpleRNN", {}),
    ("SimpleRNN", {"activation": "relu", "use_bias": False, "return_sequences": True}),
    ("SimpleRNN", {"activation": "sigmoid", "return_state": True}),
    ("SimpleRNN", {"go_backwards": True, "return_sequences": True, "unroll": True}),
    ("LSTM", {}),
    ("LSTM", {"return_sequences": True, "return_state": True}),
    ("LSTM", {"use_bias": False, "go_backwards": True, "return_state": True}),
    ("LSTM", {"use_bias": False, "return_sequences": True}),
    ("LSTM", {"unit_forget_bias": False, "unroll": True}),
    ("LSTM", {"activation": "relu", "recurrent_activation": "hard_sigmoid", "return_sequences": True}),
    ("LSTM", {"use_cudnn": False, "return_state": True, "go_backwards": True, "return_sequences": True}),
    ("LSTM", {"activation": None}),
    ("GRU", {}),
    ("GRU", {"return_sequences": True, "return_state": True}),
    ("GRU", {"use_bias": False, "go_backwards": True, "return_sequences": True}),
    ("GRU", {"use_bias": False}),
    ("GRU", {"reset_after": False, "return_sequences": True}),
    ("GRU", {"reset_after": False, "use_bias": False, "return_state": True}),
    ("GRU", {"use_cudnn": False, "return_state": True, "return_sequences": True}),
    ("GRU", {"activation": "elu", "recurrent_activation": "hard_sigmoid", "unroll": True}),
    ("GRU", {"use_cudnn": False, "use_bias": False}),
]
NAMES = ("SimpleRNN", "LSTM", "GRU")


def identify(case):
    return f"{case[0]}-" + "-".join(f"{key}={value}" for key, value in case[1].items())


def random_weights(weights, rng):
    return [rng.uniform(-0.7, 0.7, size=tuple(w.shape)).astype("float32") for w in weights]


def twins(ours, theirs, shape, rng):
    """Our layer and Keras's, built for `shape`, with the same random weights."""
    ours(torch.zeros(shape))
    theirs(torch.zeros(shape))
    assert [tuple(w.shape) for w in ours.weights] == [tuple(w.shape) for w in theirs.weights]
    values = random_weights(theirs.weights, rng)
    ours.set_weights(values)
    theirs.set_weights(values)
    return ours, theirs


def pair(name, arguments, rng, shape=SHAPE, units=6):
    return twins(getattr(layers, name)(units, **arguments), getattr(keras.layers, name)(units, **arguments), shape, rng)


def as_list(outputs):
    return list(outputs) if isinstance(outputs, (list, tuple)) else [outputs]


def close(ours, theirs, tolerance=2e-5):
    np.testing.assert_allclose(
        ours.detach().numpy() if hasattr(ours, "detach") else ours,
        theirs.detach().numpy() if hasattr(theirs, "detach") else theirs,
        rtol=tolerance,
        atol=tolerance,
    )


def compare(ours, theirs, x, rng, **call):
    """Outputs, and the gradients of a random sum of them in the inputs and in every weight."""
    a, b = torch.tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    y_ours, y_theirs = as_list(ours(a, **call)), as_list(theirs(b, **call))
    assert [tuple(y.shape) for y in y_ours] == [tuple(y.shape) for y in y_theirs]
    total_ours = total_theirs = 0.0
    for one, other in zip(y_ours, y_theirs, strict=True):
        close(one, other)
        upstream = torch.tensor(rng.normal(size=tuple(one.shape)).astype("float32"))
        total_ours, total_theirs = total_ours + (one * upstream).sum(), total_theirs + (other * upstream).sum()
    grads_ours = torch.autograd.grad(total_ours, [a, *ours.trainable_weights])
    grads_theirs = torch.autograd.grad(total_theirs, [b, *[w.value for w in theirs.trainable_weights]])
    for one, other in zip(grads_ours, grads_theirs, strict=True):
        close(one, other, 1e-4)


def data(rng, shape=SHAPE):
    return rng.normal(size=shape).astype("float32")


# -- against Keras ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "arguments"), CASES, ids=map(identify, CASES))
def test_outputs_states_and_gradients(name, arguments, rng):
    ours, theirs = pair(name, arguments, rng)
    compare(ours, theirs, data(rng), rng)


@pytest.mark.parametrize(("name", "arguments"), CASES, ids=map(identify, CASES))
def test_states_to_start_from(name, arguments, rng):
    ours, theirs = pair(name, arguments, rng)
    states = [torch.tensor(data(rng, (3, 6))) for _ in ours.state_size]
    compare(ours, theirs, data(rng), rng, initial_state=states)


@pytest.mark.parametrize(("name", "arguments"), CASES, ids=map(identify, CASES))
def test_config_goes_both_ways(name, arguments, rng):
    ours, theirs = pair(name, arguments, rng)
    missing = set(theirs.get_config()) - set(ours.get_config()) - {"quantization_config"}
    assert not missing, f"keys of Keras's config that ours lacks: {missing}"
    assert "cell" not in ours.get_config()
    again = layers.deserialize(layers.serialize(ours))
    assert again.get_config() == ours.get_config()
    x = data(rng)
    for made in (layers.deserialize(keras.layers.serialize(theirs)), keras.layers.deserialize(layers.serialize(ours))):
        made(torch.tensor(x))
        made.set_weights(ours.get_weights())
        for one, other in zip(as_list(made(torch.tensor(x))), as_list(ours(torch.tensor(x))), strict=True):
            close(one, other)


@pytest.mark.parametrize("name", [*NAMES, *(f"{name}Cell" for name in NAMES), "RNN", "StackedRNNCells"])
def test_arguments_are_keras_s_in_order(name):
    ours, theirs = (
        list(inspect.signature(getattr(module, name).__init__).parameters) for module in (layers, keras.layers)
    )
    assert ours == theirs


@pytest.mark.parametrize("name", NAMES)
def test_weights_have_keras_s_names_and_starts(name):
    torch.manual_seed(0)
    ours, theirs = getattr(layers, name)(4), getattr(keras.layers, name)(4)
    ours(torch.ones(1, 2, 3)), theirs(torch.ones(1, 2, 3))
    assert list(ours.state_dict()) == [f"cell.{w.name}" for w in theirs.weights]
    close(ours.cell.bias, theirs.cell.bias.value)
    square = ours.cell.recurrent_kernel.detach()
    close(square @ square.T, np.eye(4), 1e-5)  # orthogonal
    assert ours.cell.name == theirs.cell.name


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("steps", [1, 2])
def test_cells_alone(name, steps, rng):
    ours, theirs = getattr(layers, name + "Cell")(6), getattr(keras.layers, name + "Cell")(6)
    x = [torch.tensor(data(rng, (3, 4))) for _ in range(steps)]
    states = [torch.tensor(data(rng, (3, 6))) for _ in (ours.state_size if name == "LSTM" else [1])]
    ours(x[0], states), theirs(x[0], states)
    values = random_weights(theirs.weights, rng)
    ours.set_weights(values), theirs.set_weights(values)
    s_ours = s_theirs = states
    for each in x:
        y_ours, s_ours = ours(each, s_ours)
        y_theirs, s_theirs = theirs(each, s_theirs)
        close(y_ours, y_theirs)
    for one, other in zip(s_ours, s_theirs, strict=True):
        close(one, other)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", ["float32", "float64"])
def test_fused_and_stepwise_agree(name, kind, rng):
    """The fused kernel against this package's own loop, at sizes where a slip in a gate would show."""
    fused = getattr(layers, name)(17, return_sequences=True, return_state=True, dtype=kind)
    x = torch.tensor(rng.normal(size=(5, 23, 9))).to(getattr(torch, kind))
    fused(x)
    fused.set_weights(random_weights(fused.weights, rng))
    slow = copy.deepcopy(fused)
    slow.use_cudnn = False
    tolerance = 1e-4 if kind == "float32" else 1e-9
    for layer in (fused, slow):
        layer.got = as_list(layer(x))
        layer.grads = torch.autograd.grad(sum(y.sin().sum() for y in layer.got), layer.trainable_weights)
    assert "Backward" in type(fused.got[0].grad_fn).__name__
    for one, other in zip([*fused.got, *fused.grads], [*slow.got, *slow.grads], strict=True):
        close(one, other, tolerance)


def operations(function):
    with torch.profiler.profile() as profile:
        function()
    return {event.key for event in profile.key_averages()}


@pytest.mark.parametrize(
    ("name", "kernel"), [("LSTM", "aten::lstm"), ("GRU", "aten::gru"), ("SimpleRNN", "aten::rnn_tanh")]
)
def test_the_fused_kernel_is_used_where_it_can_be(name, kernel, rng):
    x = torch.tensor(data(rng))
    cls = getattr(layers, name)
    usual = [
        cls(6),
        cls(6, unroll=True),
        cls(6, dropout=0.5),
        cls(6, recurrent_dropout=0.5),
        layers.Bidirectional(cls(6)),
    ]
    usual.append(layers.RNN([getattr(layers, name + "Cell")(6), getattr(layers, name + "Cell")(4)]))
    unusual = [cls(6, activation="elu")] + ([cls(6, use_cudnn=False)] if name != "SimpleRNN" else [])
    with torch.no_grad():  # what has gradients may take the way of `recurrent_gradients`
        for layer in [*usual, *unusual]:
            layer(x)
        assert all(kernel in operations(lambda layer=layer: layer(x)) for layer in usual)
        assert not any(kernel in operations(lambda layer=layer: layer(x)) for layer in unusual)
        assert kernel in operations(lambda: usual[2](x, training=True))
        assert kernel not in operations(lambda: usual[3](x, training=True))


# -- dropout ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "arguments", [{"dropout": 0.4}, {"recurrent_dropout": 0.4}, {"dropout": 0.3, "recurrent_dropout": 0.4}]
)
@pytest.mark.parametrize("fuse", ["auto", False])
def test_dropout_with_the_same_noise_as_keras(name, arguments, fuse, rng):
    if name != "SimpleRNN":
        arguments = {**arguments, "use_cudnn": fuse}
    ours, theirs = pair(name, arguments, rng)
    by_gate = name != "SimpleRNN" and "recurrent_dropout" in arguments
    count = {"SimpleRNN": 1, "LSTM": 4, "GRU": 3}[name]

    def noise(size):
        drawn = [torch.tensor((rng.random((3, size)) < 0.6).astype("float32") / 0.6) for _ in range(count)]
        return (torch.stack(drawn), drawn) if by_gate else (drawn[0], drawn[0])

    x, (noise_ours, noise_theirs), (own_ours, own_theirs) = data(rng), noise(4), noise(6)
    a, b = torch.tensor(x), torch.tensor(x)
    for rate, attribute, one, other in (
        ("dropout", "_dropout_mask", noise_ours, noise_theirs),
        ("recurrent_dropout", "_recurrent_dropout_mask", own_ours, own_theirs),
    ):
        if rate in arguments:
            setattr(ours.cell, attribute, one)
            setattr(theirs.cell, attribute, other)
    close(ours(a, training=True), theirs(b, training=True))
    assert ours.cell._dropout_mask is None and ours.cell._recurrent_dropout_mask is None


@pytest.mark.parametrize("name", NAMES)
def test_dropout_is_seeded_scaled_and_only_while_training(name):
    x = torch.ones(50, 3, 40)
    make = lambda **more: getattr(layers, name)(5, **more)  # noqa: E731
    layer, same, plain = make(dropout=0.5, seed=3), make(dropout=0.5, seed=3), make()
    for each in (layer, same, plain):
        each(x)
        each.set_weights(layer.get_weights())
    assert torch.equal(layer(x), plain(x))
    first = layer(x, training=True)
    assert torch.equal(first, same(x, training=True))
    assert not torch.equal(first, layer(x, training=True))
    assert len({tuple(row.tolist()) for row in first}) > 1
    noise = layer.cell.get_dropout_mask(torch.ones(2000, 10))
    assert set(noise.unique().tolist()) == {0.0, 2.0}
    assert noise.mean().item() == pytest.approx(1.0, abs=0.05)
    assert copy.deepcopy(layer)(x).shape == (50, 5)


def test_lstm_implementation_1_draws_noise_for_each_gate():
    layer = layers.LSTM(4, dropout=0.5, implementation=1)
    layer(torch.ones(2, 3, 5), training=True)
    assert layer.cell.get_dropout_mask(torch.ones(2, 5)).shape == (4, 2, 5)


# -- cells of one's own, and stacks -------------------------------------------------------------------------


def minimal(module, matmul):
    class Minimal(module.Layer):
        def __init__(self, units, **kwargs):
            super().__init__(**kwargs)
            self.units = self.state_size = units

        def build(self, input_shape):
            self.kernel = self.add_weight(shape=(input_shape[-1], self.units), name="kernel")
            self.recurrent = self.add_weight(shape=(self.units, self.units), name="recurrent")
            self.built = True

        def call(self, inputs, states):
            output = matmul(inputs, self.kernel) + matmul(states[0], self.recurrent)
            return output, [output]

        def get_config(self):
            return {**super().get_config(), "units": self.units}

    return Minimal


OurCell = lamella.saving.register_keras_serializable("recurrent_tests")(minimal(layers, torch.matmul))
TheirCell = minimal(keras.layers, lambda a, b: keras.ops.matmul(a, b))


@pytest.mark.parametrize(
    "arguments",
    [{}, {"return_sequences": True, "return_state": True}, {"go_backwards": True, "return_sequences": True}],
)
def test_a_cell_of_one_s_own(arguments, rng):
    ours, theirs = layers.RNN(OurCell(6), **arguments), keras.layers.RNN(TheirCell(6), **arguments)
    compare(*twins(ours, theirs, SHAPE, rng), data(rng), rng)


def test_a_stack_of_cells_of_one_s_own(rng):
    ours = layers.RNN([OurCell(6), OurCell(3)], return_state=True)
    theirs = keras.layers.RNN([TheirCell(6), TheirCell(3)], return_state=True)
    compare(*twins(ours, theirs, SHAPE, rng), data(rng), rng)


def test_a_cell_of_one_s_own_round_trips_by_config(rng):
    layer = layers.RNN([OurCell(6), layers.GRUCell(5)], return_sequences=True, name="mine")
    x = torch.tensor(data(rng))
    layer(x)
    again = layers.deserialize(layers.serialize(layer))
    again(x)
    again.set_weights(layer.get_weights())
    assert torch.equal(again(x), layer(x))
    named = layers.RNN.from_config(layer.get_config(), custom_objects={"OurCell": OurCell})
    assert named.get_config() == layer.get_config()


def test_a_cell_that_wants_training_and_makes_its_own_states(rng):
    class Counter(layers.Layer):
        state_size = (2, 1)
        output_size = 2

        def get_initial_state(self, batch_size=None):
            return [torch.full((batch_size, 2), 10.0), torch.zeros(batch_size, 1)]

        def call(self, inputs, states, training=False):
            total, count = states
            total = total + inputs.sum(-1, keepdim=True)
            return total * (2.0 if training else 1.0), [total, count + 1]

    layer = layers.RNN(Counter(), return_state=True)
    y, _, count = layer(torch.ones(3, 4, 2))
    assert y.tolist() == [[18.0, 18.0]] * 3 and count.tolist() == [[4.0]] * 3
    assert layer(torch.ones(3, 4, 2), training=True)[0].tolist() == [[36.0, 36.0]] * 3
    shapes = [each.shape for each in layer(lamella.Input((None, 2)))]
    assert shapes == [(None, 2), (None, 2), (None, 1)]


def test_a_subclass_of_a_cell_keeps_its_own_formula(rng):
    class Doubled(layers.GRUCell):
        def call(self, inputs, states, training=None):
            output, states = super().call(inputs, states, training)
            return 2 * output, states

    x = torch.tensor(data(rng))
    plain, doubled = layers.RNN(layers.GRUCell(4)), layers.RNN(Doubled(4))
    plain(x), doubled(x)
    doubled.set_weights(plain.get_weights())
    close(doubled(x), 2 * plain(x))


CELLS = ("SimpleRNNCell", "LSTMCell", "GRUCell")


@pytest.mark.parametrize("names", [("LSTMCell", "LSTMCell"), ("GRUCell", "LSTMCell", "SimpleRNNCell"), ("GRUCell",)])
@pytest.mark.parametrize("arguments", [{}, {"return_sequences": True, "return_state": True}])
def test_stacked_cells(names, arguments, rng):
    made = []
    for module in (layers, keras.layers):
        made.append(module.RNN([getattr(module, name)(4 + i) for i, name in enumerate(names)], **arguments))
    ours, theirs = twins(*made, SHAPE, rng)
    x = torch.tensor(data(rng))
    flat_ours, flat_theirs = (torch.utils._pytree.tree_leaves(layer(x)) for layer in (ours, theirs))
    assert len(flat_ours) == len(flat_theirs)
    for one, other in zip(flat_ours, flat_theirs, strict=True):
        close(one, other)
    again = layers.deserialize(keras.layers.serialize(theirs))
    again(x)
    again.set_weights(ours.get_weights())
    close(torch.utils._pytree.tree_leaves(again(x))[0], flat_ours[0])
    back = keras.layers.deserialize(layers.serialize(ours))
    assert [cell.units for cell in back.cell.cells] == [4 + i for i in range(len(names))]


def test_a_stack_called_as_a_cell_and_given_states(rng):
    stack = layers.StackedRNNCells([layers.LSTMCell(4), layers.GRUCell(5)])
    x = torch.tensor(data(rng, (3, 1, 4)))
    layer = layers.RNN(stack, return_state=True)
    layer(x)
    states = [[torch.tensor(data(rng, (3, 4))) for _ in range(2)], [torch.tensor(data(rng, (3, 5)))]]
    output, first, second = layer(x, initial_state=states)
    one, (also_first, also_second) = stack(x[:, 0], states)
    close(output, one)
    close(first[1], also_first[1])
    close(second[0], also_second[0])
    assert stack.state_size == [[4, 4], 5] and stack.output_size == 5


# -- models -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("length", [5, None])
@pytest.mark.parametrize("name", NAMES)
def test_in_models(name, length, rng):
    cls = getattr(layers, name)
    inputs = lamella.Input((length, 4))
    h = cls(6, return_sequences=True)(inputs)
    assert h.shape == (None, length, 6)
    functional = lamella.Model(inputs, layers.Dense(1)(cls(3)(h)))
    sequential = lamella.Sequential([lamella.Input((length, 4)), cls(6), layers.Dense(1)])
    later = lamella.Sequential([cls(6), layers.Dense(1)])
    x = data(rng, (8, 5, 4))
    for model in (functional, sequential, later):
        model.compile("adam", "mse")
        model.predict(x, verbose=0)
        before = model.get_weights()
        model.fit(x, np.ones((8, 1)), batch_size=4, epochs=2, verbose=0)
        assert all(not np.array_equal(a, b) for a, b in zip(model.get_weights(), before, strict=True))
        assert model.predict(x, verbose=0).shape == (8, 1)


def test_training_like_keras(rng):
    x, y = data(rng, (16, 7, 4)), data(rng, (16, 1))
    models = []
    for module in (lamella, keras):
        models.append(
            module.Sequential(
                [
                    module.Input((7, 4)),
                    module.layers.LSTM(5, return_sequences=True),
                    module.layers.GRU(4, kernel_regularizer="l2", activity_regularizer="l2"),
                    module.layers.Dense(1),
                ]
            )
        )
    models[0].set_weights([np.asarray(w) for w in models[1].get_weights()])
    histories = []
    for model in models:
        model.compile("sgd", "mse")
        histories.append(model.fit(x, y, batch_size=8, epochs=3, shuffle=False, verbose=0).history["loss"])
    np.testing.assert_allclose(histories[0], histories[1], rtol=1e-4)
    for one, other in zip(models[0].get_weights(), models[1].get_weights(), strict=True):
        close(one, other, 1e-4)


@pytest.mark.parametrize("name", ["LSTM", "GRU"])
def test_an_encoder_and_a_decoder(name, rng):
    models = []
    for module in (lamella, keras):
        cls = getattr(module.layers, name)
        source, target = module.Input((None, 4)), module.Input((None, 3))
        _, *states = cls(6, return_state=True)(source)
        outputs, *_ = cls(6, return_sequences=True, return_state=True)(target, initial_state=states)
        models.append(module.Model([source, target], module.layers.Dense(2)(outputs)))
    ours, theirs = models
    assert ours.output_shape == (None, None, 2)
    values = random_weights(theirs.weights, rng)
    ours.set_weights(values), theirs.set_weights(values)
    x = [data(rng, (3, 5, 4)), data(rng, (3, 7, 3))]
    close(ours.predict(x, verbose=0), theirs.predict(x, verbose=0))
    ours.compile("sgd", "mse")
    before = ours.get_weights()
    ours.fit(x, data(rng, (3, 7, 2)), verbose=0)
    assert all(not np.array_equal(a, b) for a, b in zip(ours.get_weights(), before, strict=True))


def test_regularizers_constraints_and_freezing(rng):
    arguments = {"kernel_regularizer": "l2", "recurrent_regularizer": "l1", "bias_regularizer": "l2"}
    ours, theirs = pair("GRU", {**arguments, "kernel_constraint": "non_neg"}, rng)
    close(sum(ours.losses), sum(theirs.losses))
    model = lamella.Sequential([lamella.Input((5, 4)), layers.LSTM(3, kernel_constraint="non_neg")])
    model.compile("sgd", "mse")
    model.fit(data(rng), np.ones((3, 3)), verbose=0)
    assert model.layers[0].cell.kernel.min() >= 0
    frozen = layers.LSTM(3, trainable=False)
    frozen(torch.ones(1, 2, 3))
    assert not frozen.trainable_weights and len(frozen.non_trainable_weights) == 3
    wrapped = layers.RNN(layers.LSTMCell(3), trainable=False)
    wrapped(torch.ones(1, 2, 3))
    assert not wrapped.trainable_weights


def test_the_arguments_can_be_read_from_the_layer():
    layer = layers.LSTM(4, dropout=0.2, recurrent_dropout=0.1, kernel_regularizer="l2", seed=5)
    assert (layer.units, layer.dropout, layer.recurrent_dropout, layer.seed) == (4, 0.2, 0.1, 5)
    assert layer.kernel_regularizer is layer.cell.kernel_regularizer
    assert layer.activation is lamella.activations.tanh


def test_whole_numbers_and_half_precision(rng):
    x = torch.tensor(rng.integers(0, 5, SHAPE))
    layer = layers.LSTM(3)
    assert torch.equal(layer(x), layer(x.float()))
    double = layers.GRU(3, dtype="float64")
    assert double(x).dtype is torch.float64


def test_under_vmap_each_sample_of_a_batch_of_weights(rng):
    """Many trainings at once put `torch.func.vmap` over the weights: the loop is taken there."""
    layer = layers.LSTM(3)
    x = torch.tensor(data(rng))
    expected = layer(x)
    weights = {name: torch.stack([w.detach(), w.detach() * 0]) for name, w in layer.named_parameters()}
    both = torch.func.vmap(lambda w: torch.func.functional_call(layer, w, (x,)))(weights)
    close(both[0], expected)
    assert not both[1].any()


# -- statefulness -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_stateful_goes_on_where_the_last_batch_ended(name, rng):
    ours, theirs = pair(name, {"stateful": True, "return_sequences": True}, rng)
    ours.reset_state(), theirs.reset_state()
    for _ in range(3):
        x = torch.tensor(data(rng))
        close(ours(x), theirs(x))
        for one, other in zip(ours.states, theirs.states, strict=True):
            close(one, other.value)
    assert any(state.abs().sum() > 0 for state in ours.states)
    ours.reset_states()
    assert all(not state.any() for state in ours.states)
    assert len(ours.weights) == 3 and len(ours.state_dict()) == 3


@pytest.mark.parametrize("batch", [2, 4])
def test_stateful_training_starts_each_batch_where_the_last_one_ended(batch, rng):
    """Against a loop that hands the state on by itself (Keras on torch cannot train a stateful layer)."""
    x, y = data(rng, (12, 5, 4)), data(rng, (12, 3))
    stateful = lamella.Sequential([lamella.Input(batch_shape=(batch, 5, 4)), layers.GRU(3, stateful=True)])
    plain = layers.GRU(3, return_state=True)
    plain(torch.zeros(batch, 5, 4))
    plain.set_weights(stateful.get_weights())
    stateful.compile(lamella.optimizers.SGD(0.1), "mse")
    stateful.fit(x, y, batch_size=batch, epochs=2, shuffle=False, verbose=0)
    state = torch.zeros(batch, 3)
    for i in [*range(0, 12, batch)] * 2:
        output, state = plain(torch.tensor(x[i : i + batch]), initial_state=state.detach())
        loss = (output - torch.tensor(y[i : i + batch])).square().mean()
        grads = torch.autograd.grad(loss, plain.trainable_weights)
        with torch.no_grad():
            for weight, grad in zip(plain.trainable_weights, grads, strict=True):
                weight -= 0.1 * grad
    for one, other in zip(stateful.get_weights(), plain.get_weights(), strict=True):
        close(one, other, 1e-5)
    close(stateful.layers[0].states[0], state, 1e-5)


@pytest.mark.parametrize("batch", [2, 4])
def test_looking_at_the_first_batch_does_not_move_the_states(batch, rng):
    x = data(rng, (batch, 5, 4))
    model = lamella.Sequential([lamella.Input(batch_shape=(batch, 5, 4)), layers.GRU(3, stateful=True)])
    once = model.layers[0](torch.tensor(x))
    model.layers[0].reset_state()
    close(model.predict(x, batch_size=batch, verbose=0), once)


def test_a_small_stateful_step_is_never_played_from_a_recording(rng):
    """A recording is checked by computing a batch twice, which would push the states on twice."""
    x = data(rng, (40, 2, 1))
    model = lamella.Sequential(
        [lamella.Input(batch_shape=(1, 2, 1)), layers.SimpleRNN(2, stateful=True), layers.Dense(1)]
    )
    model.compile("sgd", "mse")
    model.fit(x, np.ones((40, 1)), batch_size=1, shuffle=False, verbose=0)
    assert model._replay.played is None


def test_states_of_a_stateful_layer_are_not_in_the_gradient_of_the_next_batch(rng):
    layer = layers.LSTM(3, stateful=True)
    x = torch.tensor(data(rng))
    for _ in range(2):
        torch.autograd.grad(layer(x).sum(), layer.trainable_weights)
    assert not any(state.requires_grad for state in layer.states)


# -- errors -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: layers.LSTM(0), "`units` must be a positive whole number"),
        (lambda: layers.GRU(3, seed="x"), "`seed` must be an integer"),
        (lambda: layers.LSTM(3, use_cudnn="no"), "`use_cudnn` must be 'auto', True or False"),
        (lambda: layers.LSTM(3)(torch.ones(2, 5)), "rank 3"),
        (lambda: layers.LSTM(3)(lamella.Input((5,))), "rank 3"),
        (lambda: layers.LSTM(3, activatoin="relu"), "has no argument 'activatoin'"),
        (lambda: layers.RNN(object()), "no `call`"),
        (lambda: layers.RNN(layers.Dense(3)), "no `state_size`"),
        (lambda: layers.StackedRNNCells([layers.Dense(3)]), "no `state_size`"),
        (lambda: layers.LSTM(3)(torch.ones(2, 5, 4), initial_state=[torch.ones(2, 3)]), "has 2 states, but .* has 1"),
        (lambda: layers.GRU(3)(torch.ones(2, 5, 4), initial_state=torch.ones(2, 4)), r"shape \(batch, 3\).*\(2, 4\)"),
        (lambda: layers.GRU(3, unroll=True)(lamella.Input((None, 4))), "needs a known number of steps"),
        (lambda: layers.LSTM(3, activation="relu", use_cudnn=True)(torch.ones(2, 5, 4)), "no fused kernel computes it"),
        (lambda: layers.GRU(3)(torch.ones(2, 5, 4), mask=torch.ones(2, 4)), r"mask must have shape .* \(2, 5\)"),
    ],
)
def test_errors_say_what_is_wrong(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_another_batch_size_for_a_stateful_layer_is_said():
    layer = layers.GRU(3, stateful=True)
    layer(torch.ones(2, 5, 4))
    with pytest.raises(ValueError, match="those of 2 samples, but this batch has 3"):
        layer(torch.ones(3, 5, 4))


@pytest.mark.parametrize("name", NAMES)
def test_another_number_of_features_is_said(name):
    """oneDNN's kernel would read past its weights without a word."""
    layer = getattr(layers, name)(3, name="memory")
    layer(torch.ones(2, 5, 4))
    for features in (3, 7):
        with pytest.raises(ValueError, match=r"'memory'.*size 4"):
            layer(torch.ones(2, 5, features))


def test_states_of_other_sizes_in_a_stack_do_not_reach_the_kernel():
    layer = layers.RNN([layers.LSTMCell(3), layers.LSTMCell(4)])
    layer(torch.ones(2, 5, 4))
    wrong = [[torch.ones(2, 3), torch.ones(2, 3)], [torch.ones(2, 3), torch.ones(2, 3)]]
    with pytest.raises(RuntimeError):
        layer(torch.ones(2, 5, 4), initial_state=wrong)


@pytest.mark.parametrize("kind", ["float64", "float16", "mixed_bfloat16"])
@pytest.mark.parametrize("cells", [["GRUCell"], ["LSTMCell", "SimpleRNNCell"]])
def test_a_cell_computes_in_its_own_type(cells, kind, rng):
    """The layer around it may have another policy."""
    x = rng.normal(size=SHAPE).astype("float32")
    ours, theirs = (k.layers.RNN([getattr(k.layers, cell)(2) for cell in cells], dtype=kind) for k in (lamella, keras))
    expected = keras.ops.convert_to_numpy(keras.ops.cast(theirs(x), "float32"))
    ours.build(SHAPE)
    ours.set_weights(theirs.get_weights())
    y = ours(x)
    np.testing.assert_allclose(y.detach().float(), expected, atol=0.03 if "16" in kind else 1e-5)
    assert ours(lamella.Input(SHAPE[1:])).dtype is y.dtype
