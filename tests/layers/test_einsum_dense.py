"""EinsumDense against real Keras: every way through it, weights, configs, errors."""

import numpy as np
import pytest
import torch
from test_layers_against_keras import close, compare

import lamella
from lamella import layers

keras = pytest.importorskip("keras")

CASES = [
    ({"equation": "ab,bc->ac", "output_shape": 5}, (4, 3)),
    ({"equation": "ab,bc->ac", "output_shape": 5, "bias_axes": "c", "activation": "relu"}, (4, 3)),
    ({"equation": "abc,cd->abd", "output_shape": (None, 6), "bias_axes": "d"}, (2, 4, 3)),
    ({"equation": "abc,cd->abd", "output_shape": (4, 6), "bias_axes": "bd"}, (2, 4, 3)),
    ({"equation": "abc,cde->abde", "output_shape": (None, 2, 5), "bias_axes": "de"}, (2, 4, 3)),
    ({"equation": "abc,cde->abde", "output_shape": (None, 2, 5), "bias_axes": "d"}, (2, 4, 3)),
    ({"equation": "abcd,cde->abe", "output_shape": (None, 6), "bias_axes": "e"}, (2, 4, 3, 5)),
    ({"equation": "abc,bcd->abd", "output_shape": (4, 6), "bias_axes": "bd"}, (2, 4, 3)),
    ({"equation": "abc,bd->acd", "output_shape": (3, 6), "bias_axes": "d"}, (2, 4, 3)),
    ({"equation": "abc,dc->abd", "output_shape": (None, 6)}, (2, 4, 3)),
    ({"equation": "...x,xy->...y", "output_shape": 6, "bias_axes": "y"}, (2, 4, 3)),
    ({"equation": "...x,xy->...y", "output_shape": 6, "bias_axes": "y"}, (2, 3)),
    ({"equation": "...bc,cd->...bd", "output_shape": (None, 6), "bias_axes": "d"}, (2, 5, 4, 3)),
    ({"equation": "ab...,bc->ac...", "output_shape": 6, "bias_axes": "c"}, (2, 3, 4, 5)),
]


def pair(arguments, shape, rng):
    ours, theirs = layers.EinsumDense(**arguments), keras.layers.EinsumDense(**arguments)
    x = rng.normal(size=shape).astype("float32")
    ours(torch.tensor(x))
    theirs.build(shape)
    assert [tuple(w.shape) for w in ours.weights] == [tuple(w.shape) for w in theirs.weights]
    values = [rng.normal(size=w.shape).astype("float32") for w in theirs.weights]
    ours.set_weights(values)
    theirs.set_weights(values)
    return ours, theirs, x


@pytest.mark.parametrize(("arguments", "shape"), CASES)
def test_output_gradient_and_weights(arguments, shape, rng):
    ours, theirs, x = pair(arguments, shape, rng)
    compare(ours, theirs, x, rng)
    assert [name for name, _ in ours.named_parameters()] == [w.name for w in theirs.weights]


@pytest.mark.parametrize(("arguments", "shape"), CASES)
def test_config_goes_both_ways(arguments, shape, rng):
    ours, theirs = layers.EinsumDense(**arguments), keras.layers.EinsumDense(**arguments)
    assert set(theirs.get_config()) <= set(ours.get_config())
    again = layers.deserialize(layers.serialize(ours))
    assert again.get_config() == ours.get_config()
    x = torch.tensor(rng.normal(size=shape).astype("float32"))
    want = theirs(x).shape
    assert layers.deserialize(keras.layers.serialize(theirs))(x).shape == want
    assert keras.layers.deserialize(layers.serialize(ours))(x).shape == want


@pytest.mark.parametrize(("arguments", "shape"), CASES)
def test_symbolic_shape_and_a_training_step(arguments, shape, rng):
    inputs = lamella.Input(shape[1:])
    outputs = layers.EinsumDense(**arguments)(inputs)
    reference = keras.layers.EinsumDense(**arguments)(keras.Input(shape[1:])).shape
    assert len(outputs.shape) == len(reference)
    assert all(a == b or b is None for a, b in zip(outputs.shape, reference, strict=True))  # Keras knows less
    model = lamella.Model(inputs, layers.Dense(1)(layers.Flatten()(outputs)))
    model.compile("sgd", "mse")
    before = model.layers[1].kernel.detach().clone()
    model.fit(rng.normal(size=shape).astype("float32"), np.ones((shape[0], 1)), verbose=0)
    assert not torch.equal(before, model.layers[1].kernel)


def test_a_free_axis_stays_free():
    outputs = layers.EinsumDense("abc,cd->abd", (None, 6))(lamella.Input((None, 3)))
    assert outputs.shape == (None, None, 6)


def test_in_a_sequential_model(rng):
    x = rng.normal(size=(2, 4, 3)).astype("float32")
    model = lamella.Sequential([layers.EinsumDense("abc,cd->abd", (None, 6), bias_axes="d"), layers.Flatten()])
    y = model.predict(x, verbose=0)
    close(y, np.einsum("abc,cd->abd", x, model.get_weights()[0]).reshape(2, -1))


def test_the_quick_way_is_einsum(rng):
    """The matrix product gives what einsum gives, also on an input that is not contiguous."""
    layer = layers.EinsumDense("abcd,cde->abe", (None, 6), bias_axes="e")
    x = torch.tensor(rng.normal(size=(2, 3, 4, 5)).astype("float32")).transpose(1, 2)
    y = layer(x)
    assert layer._is_product
    close(y.detach(), layer._einsum(x).detach())


@pytest.mark.parametrize("initializer", ["glorot_uniform", "he_uniform", "lecun_normal"])
def test_kernels_start_on_keras_s_scale(initializer):
    """The fans are those of the equation, not those of a convolution of that kernel's shape."""
    keras.utils.set_random_seed(0)
    arguments = {"equation": "abc,cde->abde", "output_shape": (None, 16, 40), "kernel_initializer": initializer}
    ours, theirs = layers.EinsumDense(**arguments), keras.layers.EinsumDense(**arguments)
    ours.build((None, 4, 50))
    theirs.build((None, 4, 50))
    want = theirs.get_weights()[0].std()
    assert ours.kernel.std().item() == pytest.approx(want, rel=0.02)
    plain = lamella.initializers.get(initializer)((50, 16, 40)).std().item()
    assert abs(plain - want) > 0.05 * want


def test_penalties_and_constraints_reach_the_weights():
    layer = layers.EinsumDense(
        "ab,bc->ac", 3, bias_axes="c", kernel_regularizer="l2", bias_regularizer="l1", kernel_constraint="non_neg"
    )
    layer(torch.ones(1, 2))
    assert len(layer.losses) == 2
    assert layer.losses[0].item() == pytest.approx(0.01 * layer.kernel.square().sum().item())
    assert list(layer._constraints) == ["kernel"]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: layers.EinsumDense("ab->ab", 3), "`equation` must look like"),
        (lambda: layers.EinsumDense("...ab,bc->ac...", 3), "`equation` must look like"),
        (lambda: layers.EinsumDense("ab,cd->ad", 3), "axis 'c' of the kernel"),
        (lambda: layers.EinsumDense("ab,bc->ad", 3), "axis 'c' of the kernel|axis 'd' of the output"),
        (lambda: layers.EinsumDense("ab,bc->acd", (3, 4)), "axis 'd' of the output"),
        (lambda: layers.EinsumDense("ab,bc->ac", 3, bias_axes="b"), "`bias_axes` has 'b'"),
        (lambda: layers.EinsumDense("abc,cd->abd", (5, 6))(torch.ones(2, 4, 3)), "has size 4 in the input, but 5"),
        (lambda: layers.EinsumDense("abc,cd->abd", 6)(torch.ones(2, 4, 3)), "`output_shape` must give the 3 axes"),
        (lambda: layers.EinsumDense("abc,cd->abd", (None, 6))(torch.ones(2, 3)), "takes an input of 3 axes"),
    ],
)
def test_errors_say_what_is_wrong(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_built_layer_refuses_other_inputs_by_name():
    layer = layers.EinsumDense("abc,cd->abd", (None, 6), name="mix")
    layer(torch.ones(2, 4, 3))
    with pytest.raises(ValueError, match=r"Layer 'mix' \(EinsumDense\) expected an input of rank 3"):
        layer(torch.ones(2, 3))
    with pytest.raises(ValueError, match=r"'mix': axis 'c' of 'abc,cd->abd' has size 3 in the kernel, but 5"):
        layer(lamella.Input((4, 5)))
    with pytest.raises(ValueError, match=r"'mix': axis 'c' of 'abc,cd->abd' has size 3 in the kernel, but 5"):
        layer(torch.ones(2, 4, 5))


REVERSIBLE = [{}, {"tie_weights": False}, {"mask_zero": True, "logit_soft_cap": 2.0}, {"reverse_dtype": "float64"}]


@pytest.mark.parametrize("arguments", REVERSIBLE)
def test_reversible_embedding(arguments, rng):
    ours, theirs = (m.layers.ReversibleEmbedding(9, 4, name="words", **arguments) for m in (lamella, keras))
    ids = torch.tensor(rng.integers(0, 9, (2, 5)))
    hidden = rng.normal(size=(2, 5, 4)).astype("float32")
    ours(ids)
    theirs.build((2, 5))
    assert list(ours.state_dict()) == [w.name for w in theirs.weights]
    theirs.set_weights(ours.get_weights())
    y_ours, y_theirs = ours(ids), theirs(ids)
    close(y_ours.detach(), y_theirs.detach())
    mask, want = (getattr(y, "_keras_mask", None) for y in (y_ours, y_theirs))
    assert (mask is None) == (want is None) == (not arguments.get("mask_zero"))
    assert mask is None or torch.equal(mask, want)
    back = ours(torch.tensor(hidden), reverse=True)
    assert str(back.dtype) == f"torch.{arguments.get('reverse_dtype', 'float32')}"
    compare(ours, theirs, hidden, rng, reverse=True) if len(ours.weights) == 1 else close(
        back.detach(), theirs(torch.tensor(hidden), reverse=True).detach()
    )
    assert set(theirs.get_config()) <= set(ours.get_config())
    assert layers.deserialize(keras.layers.serialize(theirs)).get_config().items() >= ours.get_config().items()
    assert keras.layers.deserialize(layers.serialize(ours)).tie_weights == theirs.tie_weights


def test_a_language_model_with_tied_weights_trains(rng):
    table = layers.ReversibleEmbedding(9, 4)
    ids = lamella.Input((5,), dtype="int32")
    logits = table(layers.Dense(4)(table(ids)), reverse=True)
    assert logits.shape == (None, 5, 9)
    model = lamella.Model(ids, logits)
    model.compile("adam", lamella.losses.SparseCategoricalCrossentropy(from_logits=True))
    x = rng.integers(0, 9, (8, 5))
    before = table.embeddings.detach().clone()
    model.fit(x, x, verbose=0)
    assert len(model.trainable_weights) == 3
    assert not torch.equal(before, table.embeddings)
