"""The normalizations against real Keras: outputs, gradients, moving averages, configs, masks, errors."""

import warnings

import numpy as np
import pytest
import torch
from test_layers_against_keras import close, compare, pair

import lamella
from lamella import layers

keras = pytest.importorskip("keras")

CLIPPING = {"rmax": 1.2, "rmin": 0.8, "dmax": 0.1}
CASES = [
    ("GroupNormalization", {"groups": 3}, (4, 6)),
    ("GroupNormalization", {"groups": 2}, (4, 5, 6)),
    ("GroupNormalization", {"groups": 2, "epsilon": 1e-5}, (2, 5, 4, 6)),
    ("GroupNormalization", {"groups": -1, "axis": 1}, (2, 6, 5, 4)),
    ("GroupNormalization", {"groups": 3, "axis": 2, "center": False}, (2, 5, 6, 4)),
    ("GroupNormalization", {"groups": 1, "axis": -2, "scale": False}, (2, 5, 6, 4)),
    ("RMSNormalization", {}, (4, 6)),
    ("RMSNormalization", {"epsilon": 1e-2}, (4, 5, 6)),
    ("RMSNormalization", {"axis": (-2, -1)}, (4, 5, 6)),
    ("UnitNormalization", {}, (4, 6)),
    ("UnitNormalization", {"axis": 1}, (4, 5, 6)),
    ("UnitNormalization", {"axis": [1, 2]}, (4, 5, 6)),
    ("BatchNormalization", {"renorm": True}, (6, 3)),
    ("BatchNormalization", {"renorm": True, "axis": 1, "scale": False}, (6, 3, 4, 5)),
    ("BatchNormalization", {"renorm": True, "center": False, "scale": False}, (6, 4, 3)),
    ("BatchNormalization", {"renorm": True, "renorm_clipping": CLIPPING, "renorm_momentum": 0.8}, (6, 4, 5, 3)),
    ("BatchNormalization", {"renorm": True, "renorm_clipping": {"dmax": 0.0}, "center": False}, (6, 3)),
]


@pytest.mark.parametrize(("name", "arguments", "shape"), CASES)
def test_output_gradient_and_weights(name, arguments, shape, rng):
    ours, theirs, x = pair(name, arguments, shape, rng)
    compare(ours, theirs, x, rng)
    assert list(ours.state_dict()) == [w.name for w in theirs.weights]


@pytest.mark.parametrize(("name", "arguments", "shape"), CASES)
def test_while_training(name, arguments, shape, rng):
    ours, theirs, x = pair(name, arguments, shape, rng)
    for _ in range(3):
        compare(ours, theirs, x + 0.5, rng, training=True)
    for one, other in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        close(one, other)


@pytest.mark.parametrize(("name", "arguments", "shape"), CASES)
def test_config_goes_both_ways(name, arguments, shape, rng):
    ours, theirs = getattr(layers, name)(**arguments), getattr(keras.layers, name)(**arguments)
    assert set(ours.get_config()) == set(theirs.get_config())
    assert layers.deserialize(layers.serialize(ours)).get_config() == ours.get_config()
    x = torch.tensor(rng.normal(size=shape).astype("float32"))
    want = theirs(x).detach()
    close(layers.deserialize(keras.layers.serialize(theirs))(x).detach(), want)
    close(keras.layers.deserialize(layers.serialize(ours))(x).detach(), want)


@pytest.mark.parametrize(("name", "arguments", "shape"), CASES)
def test_in_models_and_a_training_step(name, arguments, shape, rng):
    inputs = lamella.Input(shape[1:])
    outputs = getattr(layers, name)(**arguments)(inputs)
    assert outputs.shape == (None, *shape[1:])
    model = lamella.Model(inputs, layers.Dense(1)(layers.Flatten()(outputs)))
    model.compile("sgd", "mse")
    x = rng.normal(size=shape).astype("float32")
    before = model.get_weights()
    model.fit(x, np.ones((len(x), 1)), verbose=0, batch_size=3)
    after = model.get_weights()
    assert all(np.isfinite(w).all() for w in after)
    assert not np.array_equal(before[-2], after[-2])
    sequential = lamella.Sequential([getattr(layers, name)(**arguments)])
    assert sequential.predict(x, verbose=0).shape == shape


@pytest.mark.parametrize("name", ["GroupNormalization", "UnitNormalization", "LayerNormalization"])
def test_masks_pass_through(name):
    embedded = layers.Embedding(9, 32, mask_zero=True)(torch.tensor([[1, 2, 0]]))
    assert torch.equal(getattr(layers, name)()(embedded)._keras_mask, embedded._keras_mask)
    assert getattr(keras.layers, name)().supports_masking


def test_rms_normalization_along_a_middle_axis(rng):
    """Keras would line its scale up with the last axis here."""
    layer, x = layers.RMSNormalization(axis=1), rng.normal(size=(4, 3, 5)).astype("float32")
    layer(torch.tensor(x))
    layer.scale.assign([1.0, 2.0, 3.0])
    want = x / np.sqrt((x**2).mean(1, keepdims=True) + 1e-6) * np.array([[[1.0], [2.0], [3.0]]])
    close(layer(torch.tensor(x)).detach(), want)


def test_unit_normalization_leaves_zeros_and_their_gradient_finite():
    x = torch.zeros(2, 3, requires_grad=True)
    y = layers.UnitNormalization()(x)
    assert torch.equal(y, torch.zeros(2, 3))
    (gradient,) = torch.autograd.grad(y.sum(), x)
    assert gradient.isfinite().all()


@pytest.mark.parametrize(("axis", "shape"), [(-1, (4, 6)), (-1, (4, 5, 6)), ((1, 2), (4, 5, 6)), (1, (4, 5, 6))])
def test_layer_normalization_with_rms_scaling(axis, shape, rng):
    arguments = {"axis": axis, "rms_scaling": True}
    with pytest.warns(UserWarning, match="Use RMSNormalization"):
        layers.LayerNormalization(**arguments)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ours, theirs, x = pair("LayerNormalization", arguments, shape, rng)
        compare(ours, theirs, x, rng)
        assert layers.deserialize(layers.serialize(ours)).get_config() == ours.get_config()
    assert [w.name for w in theirs.weights] == list(ours.state_dict()) == ["gamma"]


def test_layer_normalization_takes_its_axes_in_keras_s_order(rng):
    ours, theirs, x = pair("LayerNormalization", {"axis": (2, 1)}, (4, 3, 5), rng)
    assert ours.gamma.shape == (3, 5)
    compare(ours, theirs, x, rng)


@pytest.mark.parametrize("renorm", [False, True])
@pytest.mark.parametrize("shape", [(4, 5, 3), (4, 5, 6, 3)])
def test_masked_batch_normalization(shape, renorm, rng):
    """Its gradient too goes through the mean and the variance."""
    ours, theirs, x = pair("BatchNormalization", {"renorm": renorm}, shape, rng)
    mask = torch.tensor(rng.integers(0, 2, shape[:-1]).astype(bool))
    compare(ours, theirs, x, rng, training=True, mask=mask)
    for one, other in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        close(one, other)
    x[~mask.numpy()] = np.nan  # what is masked cannot harm
    ours(torch.tensor(x), training=True, mask=mask)
    assert all(np.isfinite(w).all() for w in ours.get_weights())


def test_masked_batch_normalization_with_channels_first(rng):
    ours, theirs, x = pair("BatchNormalization", {"axis": 1}, (4, 3, 5), rng)
    mask = torch.tensor(rng.integers(0, 2, (4, 3)).astype(bool))
    mask[0] = True
    compare(ours, theirs, x, rng, training=True, mask=mask)


def test_renorm_moves_nothing_when_frozen_or_symbolic(rng):
    layer = layers.BatchNormalization(renorm=True)
    lamella.Model(inputs := lamella.Input((3,)), layer(inputs))
    fresh = layer.get_weights()
    layer.trainable = False
    layer(torch.tensor(rng.normal(size=(6, 3)).astype("float32")), training=True)
    for one, other in zip(layer.get_weights(), fresh, strict=True):
        np.testing.assert_array_equal(one, other)


INNER = [
    ("Dense", {"units": 3}, (2, 4)),
    ("Dense", {"units": 3, "use_bias": False}, (2, 5, 4)),
    ("Conv2D", {"filters": 3, "kernel_size": 2}, (2, 5, 5, 2)),
]


@pytest.mark.parametrize("power_iterations", [1, 4])
@pytest.mark.parametrize(("name", "arguments", "shape"), INNER)
def test_spectral_normalization(name, arguments, shape, power_iterations, rng):
    ours, theirs = (
        m.SpectralNormalization(getattr(m, name)(**arguments), power_iterations) for m in (layers, keras.layers)
    )
    x = rng.normal(size=shape).astype("float32")
    ours(torch.tensor(x))
    theirs.build(shape)
    assert [tuple(w.shape) for w in ours.weights] == [tuple(w.shape) for w in theirs.weights]
    values = [rng.normal(size=w.shape).astype("float32") for w in theirs.weights]
    ours.set_weights(values)
    theirs.set_weights(values)
    compare(ours, theirs, x, rng)
    for one, other in zip(ours.get_weights(), values, strict=True):
        np.testing.assert_array_equal(one, other)  # inference changes nothing
    for _ in range(3):
        compare(ours, theirs, x, rng, training=True)
        for one, other in zip(ours.get_weights(), theirs.get_weights(), strict=True):
            close(one, other)
    assert layers.deserialize(layers.serialize(ours)).get_config() == ours.get_config()
    close(layers.deserialize(keras.layers.serialize(theirs))(torch.tensor(x)).shape, shape_of(theirs, x))
    close(keras.layers.deserialize(layers.serialize(ours))(torch.tensor(x)).shape, shape_of(theirs, x))


def test_a_model_has_the_weights_of_spectral_normalization_in_keras_order():
    def model(m):
        return m.Sequential([m.Input((4,)), m.layers.Dense(5), m.layers.SpectralNormalization(m.layers.Dense(3))])

    ours, theirs = model(lamella), model(keras)
    assert [w.shape for w in ours.get_weights()] == [w.shape for w in theirs.get_weights()]
    assert len(ours.weights) == len(ours.trainable_weights) + 1


def shape_of(layer, x):
    return layer(torch.tensor(x)).shape


def test_spectral_normalization_trains_in_a_model_and_twice_in_a_step(rng):
    layer = layers.SpectralNormalization(layers.Dense(3), power_iterations=3)
    model = lamella.Sequential([lamella.Input((4,)), layer, layers.Dense(1)])
    model.compile("sgd", "mse")
    x = rng.normal(size=(8, 4)).astype("float32")
    model.fit(x, np.ones((8, 1)), epochs=5, verbose=0)
    assert torch.linalg.matrix_norm(layer.kernel.detach(), 2).item() == pytest.approx(1.0, abs=0.3)
    assert "layer.kernel" in layer.state_dict() and "kernel" not in layer.state_dict()
    first, second = torch.tensor(x, requires_grad=True), torch.tensor(x)
    layer.kernel.assign_add(torch.ones(4, 3))
    y = layer(first, training=True).sum()
    kernel = layer.kernel.detach().clone()
    layer.kernel.assign_add(torch.ones(4, 3))
    total = y + layer(second, training=True).sum()  # as a GAN does with the true and the false
    (gradient, _) = torch.autograd.grad(total, [first, layer.kernel])
    close(gradient, kernel.sum(1).expand(8, 4))


def test_spectral_normalization_of_zeros_and_of_embeddings():
    zeros = layers.SpectralNormalization(layers.Dense(3, kernel_initializer="zeros"))
    assert torch.equal(zeros(torch.ones(2, 4), training=True), torch.zeros(2, 3))
    before = zeros.vector_u.clone()
    zeros(torch.ones(2, 4), training=True)
    assert torch.equal(zeros.vector_u, before)
    table = layers.SpectralNormalization(layers.Embedding(9, 3), power_iterations=30)
    assert table(torch.tensor([[1, 2]]), training=True).dtype is torch.float32  # Keras gives whole numbers
    assert torch.linalg.matrix_norm(table.layer.embeddings.detach(), 2).item() == pytest.approx(1.0, abs=0.01)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: layers.GroupNormalization(0), "`groups` must be a positive whole number, or -1"),
        (lambda: layers.GroupNormalization(4)(torch.ones(2, 6)), "6 channels cannot be divided into 4 groups"),
        (lambda: layers.GroupNormalization()(torch.ones(2, 6)), "cannot be divided into 32 groups"),
        (lambda: layers.GroupNormalization(2)(lamella.Input((4, None))), "of known size"),
        (lambda: layers.RMSNormalization(axis=3)(torch.ones(2, 6)), "axis 3 must be in the input"),
        (lambda: layers.UnitNormalization("a"), "`axis` must be a whole number or a list"),
        (lambda: layers.UnitNormalization(2)(torch.ones(2, 6)), "the input has no axis 2"),
        (lambda: layers.BatchNormalization(renorm=True, renorm_clipping={"r": 1}), "`renorm_clipping` may have"),
        (lambda: layers.BatchNormalization(renorm=True, renorm_clipping={"rmin": 2, "rmax": 1}), "not below"),
        (lambda: layers.BatchNormalization(renorm=True, renorm_clipping={"dmax": -1}), "not negative"),
        (
            lambda: layers.BatchNormalization()(torch.ones(2, 3, 4), training=True, mask=torch.ones(2)),
            "a mask has one axis less",
        ),
        (lambda: layers.SpectralNormalization(layers.Dense(3), 0), "`power_iterations` must be a positive"),
        (lambda: layers.SpectralNormalization(layers.ReLU())(torch.ones(2, 3)), "has no kernel"),
        (lambda: layers.SpectralNormalization("Dense"), "wraps a layer"),
    ],
)
def test_errors_say_what_is_wrong(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("axis", [-1, (-2, -1)])
@pytest.mark.parametrize("name", ["RMSNormalization", "LayerNormalization"])
def test_an_axis_counted_from_the_end_stays_so_for_inputs_of_another_rank(name, axis, rng):
    ours, theirs = getattr(layers, name)(axis=axis), getattr(keras.layers, name)(axis=axis)
    x = rng.normal(size=(7, 5, 4, 3)).astype("float32")
    for layer in (ours, theirs):
        layer.build((2, 4, 3))
    close(ours(x).detach(), theirs(x).detach())


@pytest.mark.parametrize("name", ["GroupNormalization", "LayerNormalization"])
def test_inputs_that_float16_does_not_hold(name):
    arguments = {"groups": 2} if name == "GroupNormalization" else {}
    x = np.linspace(60000, 90000, 64, dtype="float32").reshape(2, 4, 8)
    ours, theirs = (getattr(kind, name)(dtype="mixed_float16", **arguments)(x) for kind in (layers, keras.layers))
    assert ours.dtype is torch.float16
    np.testing.assert_allclose(ours.detach().float(), theirs.detach().float(), atol=2e-3)


@pytest.mark.parametrize("groups", [-1, 6])
def test_groups_of_one_number_in_a_batch_of_one(groups):
    """Its deviation from its mean is 0, as in Keras; torch's function of the module refuses it."""
    x = np.arange(6, dtype="float32").reshape(1, 6)
    for library in (lamella, keras):
        np.testing.assert_array_equal(np.asarray(library.layers.GroupNormalization(groups)(x).detach()), 0 * x)
