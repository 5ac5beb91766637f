"""Layers that compute with floats take whole numbers and truth values, as floats of the same value."""

import numpy as np
import pytest
import torch

import lamella
from lamella import errors, layers

keras = pytest.importorskip("keras")

STEPS, PICTURE, VOLUME = (6, 4), (6, 8, 4), (4, 6, 4, 2)
CASES = [
    ("LayerNormalization", {}, STEPS),
    ("BatchNormalization", {}, STEPS),
    ("GroupNormalization", {"groups": 2}, PICTURE),
    ("RMSNormalization", {}, STEPS),
    ("UnitNormalization", {}, STEPS),
    ("AveragePooling1D", {"pool_size": 2}, STEPS),
    ("AveragePooling2D", {"pool_size": 3, "padding": "same"}, PICTURE),
    ("AveragePooling3D", {"pool_size": 2}, VOLUME),
    ("AdaptiveAveragePooling1D", {"output_size": 3}, STEPS),
    ("AdaptiveAveragePooling2D", {"output_size": 3}, PICTURE),
    ("AdaptiveAveragePooling3D", {"output_size": 2}, VOLUME),
    ("GlobalAveragePooling1D", {}, STEPS),
    ("GlobalAveragePooling2D", {}, PICTURE),
    ("GlobalAveragePooling3D", {}, VOLUME),
    ("Softmax", {}, STEPS),
    ("Softmax", {"axis": (1, 2)}, STEPS),
    ("LeakyReLU", {}, STEPS),
    ("ELU", {}, STEPS),
    ("Dropout", {"rate": 0.5, "seed": 1}, STEPS),
    ("SpatialDropout1D", {"rate": 0.5, "seed": 1}, STEPS),
    ("AlphaDropout", {"rate": 0.5, "seed": 1}, STEPS),
    ("GaussianDropout", {"rate": 0.5, "seed": 1}, STEPS),
    ("GaussianNoise", {"stddev": 0.5, "seed": 1}, STEPS),
    ("TimeDistributed", lambda: {"layer": layers.LayerNormalization()}, STEPS),
]
NOISE = ("Dropout", "SpatialDropout1D", "AlphaDropout", "GaussianDropout", "GaussianNoise")


def made(name, arguments):
    return getattr(layers, name)(**(arguments() if callable(arguments) else arguments))


@pytest.mark.parametrize("kind", [torch.int64, torch.int32, torch.uint8, torch.bool])
@pytest.mark.parametrize(("name", "arguments", "shape"), CASES)
def test_as_the_floats(name, arguments, shape, kind):
    x = torch.randint(0, 5, (3, *shape)).to(kind)
    call = {"training": True} if name in NOISE else {}
    layer, again = made(name, arguments), made(name, arguments)
    y, wanted = layer(x, **call), again(x.float(), **call)
    assert y.dtype is torch.float32
    torch.testing.assert_close(y, wanted)
    symbolic = layer(lamella.Input(shape, dtype=str(kind).removeprefix("torch.")), **call)
    assert symbolic.dtype is torch.float32 or (name in NOISE and symbolic.dtype is kind)
    assert symbolic.shape[1:] == tuple(y.shape[1:])


@pytest.mark.parametrize("name", ["LayerNormalization", "BatchNormalization", "GlobalAveragePooling1D", "Softmax"])
def test_in_the_type_of_the_policy(name):
    assert getattr(layers, name)(dtype="mixed_float16")(torch.ones(3, *STEPS, dtype=torch.int64)).dtype is torch.float16


def test_a_normalization_takes_its_sums_before_it_rounds():
    x = torch.tensor([[70000, 70002]])  # float16 ends at 65504
    y = layers.LayerNormalization(dtype="mixed_float16")(x)
    torch.testing.assert_close(y, torch.tensor([[-1.0, 1.0]]).half(), rtol=0, atol=1e-3)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [("BatchNormalization", {}), ("GlobalAveragePooling1D", {}), ("Softmax", {"axis": 1}), ("UnitNormalization", {})],
)
def test_as_in_keras(name, arguments, rng):
    x = rng.integers(0, 5, (3, *STEPS)).astype("int32")
    call = {"mask": rng.random(x.shape) < 0.7} if name == "Softmax" else {}
    ours, theirs = (getattr(k.layers, name)(**arguments) for k in (lamella, keras))
    np.testing.assert_allclose(
        ours(x, **call).detach().numpy(), keras.ops.convert_to_numpy(theirs(x, **call)), rtol=1e-5, atol=1e-6
    )


def test_the_mean_of_truth_values_under_a_mask():
    x, mask = torch.tensor([[[True], [True], [False]]]), torch.tensor([[True, True, True]])
    torch.testing.assert_close(layers.GlobalAveragePooling1D()(x, mask=mask), torch.tensor([[2 / 3]]))


def test_dot_of_whole_numbers(rng):
    a, b = rng.integers(0, 5, (3, 4)).astype("int32"), rng.normal(size=(3, 4)).astype("float32")
    for inputs, arguments in (([a, b], {}), ([a, a + 1], {"normalize": True}), ([a, b], {"normalize": True})):
        ours, theirs = (k.layers.Dot(axes=1, **arguments)(inputs) for k in (lamella, keras))
        np.testing.assert_allclose(np.asarray(ours), keras.ops.convert_to_numpy(theirs), rtol=1e-5, atol=1e-6)


def test_what_torch_has_no_kernel_for_names_the_layer_and_the_type():
    with pytest.raises(errors.DTypeError, match=r"MaxPooling2D 'pool' cannot .* type bool.*Cast them first"):
        layers.MaxPooling2D(name="pool")(torch.ones(1, 4, 4, 1, dtype=torch.bool))
