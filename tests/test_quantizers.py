"""The parts of quantization compute what Keras's do."""

import json

import numpy as np
import pytest
import torch

import lamella
from lamella import quantizers
from lamella.errors import ArgumentError, DTypeError

keras = pytest.importorskip("keras")


@pytest.fixture
def x(rng):
    return rng.normal(size=(37, 5)).astype("float32")


def alike(ours, theirs):
    for one, other in zip(ours, theirs, strict=True):
        assert one.dtype == other.dtype
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("axis", [0, -1, (0, 1)])
def test_abs_max(axis, x):
    alike(quantizers.abs_max_quantize(x, axis), keras.quantizers.abs_max_quantize(x, axis))
    ours, theirs = quantizers.AbsMaxQuantizer(axis), keras.quantizers.AbsMaxQuantizer(axis)
    alike(ours(x), theirs(x))
    assert json.dumps(quantizers.serialize(ours)) == json.dumps(keras.quantizers.serialize(theirs))
    assert quantizers.deserialize(keras.quantizers.serialize(theirs)).axis == theirs.axis


@pytest.mark.parametrize("block_size", [1, 8, 37, 64])
@pytest.mark.parametrize("to_numpy", [False, True])
def test_groups(block_size, to_numpy, x):
    theirs = keras.quantizers.abs_max_quantize_grouped_with_zero_point(
        keras.ops.array(x), block_size, to_numpy=to_numpy
    )
    ours = quantizers.abs_max_quantize_grouped_with_zero_point(x, block_size)
    if block_size != 1 or to_numpy:  # on tensors Keras has another rule for groups of equal numbers
        alike(ours, theirs)


@pytest.mark.parametrize("axis", [0, 1, -1])
@pytest.mark.parametrize("kind", ["int8", "uint8"])
def test_packing(axis, kind, rng):
    numbers = rng.integers(*((-8, 8) if kind == "int8" else (0, 16)), (5, 7)).astype(kind)
    ours, theirs = (room.pack_int4(numbers, axis, kind) for room in (quantizers, keras.quantizers))
    assert torch.equal(ours[0], theirs[0])
    assert ours[1:] == theirs[1:]
    np.testing.assert_array_equal(quantizers.unpack_int4(ours[0], ours[2], axis, kind), numbers)


@pytest.mark.parametrize("kind", ["float8_e4m3fn", "float8_e5m2"])
def test_float8(kind, x):
    ours = quantizers.quantize_and_dequantize(x * 300, 0.7, kind, "float32")
    theirs = keras.quantizers.quantize_and_dequantize(keras.ops.array(x * 300), 0.7, kind, "float32")
    assert torch.equal(ours, theirs)
    history = np.array([3.0, 1.0, 4.0], "float32")
    ours, theirs = (
        room.compute_float8_amax_history(torch.tensor(x), torch.tensor(history))
        for room in (quantizers, keras.quantizers)
    )
    assert torch.equal(ours, theirs)
    for largest in (0.0, 5.0, np.inf):
        given = [torch.tensor(number) for number in (largest, 2.0, 448.0)]
        alike(*([room.compute_float8_scale(*given)] for room in (quantizers, keras.quantizers)))


@pytest.mark.parametrize("narrow_range", [False, True])
@pytest.mark.parametrize("axis", [None, 1])
def test_fake_quantization(axis, narrow_range, x):
    low = np.float32(-1.0) if axis is None else -np.ones(5, "float32")
    high = np.float32(1.5) if axis is None else np.linspace(0.5, 2, 5).astype("float32")
    found = []
    for room in (quantizers, keras.quantizers):
        given = [torch.tensor(each, requires_grad=True) for each in (x, low, high)]
        y = room.fake_quant_with_min_max_vars(*given, num_bits=4, narrow_range=narrow_range, axis=axis)
        found.append([y.detach(), *torch.autograd.grad((y * y.detach().cos()).sum(), given)])
    alike(*found)
    symbolic = lamella.Input((5,))
    model = lamella.Model(symbolic, quantizers.fake_quant_with_min_max_vars(symbolic, -1.0, 1.5))
    wanted = quantizers.fake_quant_with_min_max_vars(x, -1.0, 1.5)
    np.testing.assert_array_equal(model.predict(x, verbose=0), wanted)


@pytest.mark.parametrize(
    "name",
    ["int8_from_float32", "int4/64_from_mixed_bfloat16", "int4_from_float32", "float8_from_bfloat16"],
)
def test_policies(name):
    ours, theirs = lamella.dtype_policies.get(name), keras.dtype_policies.get(name)
    for what in ("name", "compute_dtype", "variable_dtype", "quantization_mode"):
        assert getattr(ours, what) == getattr(theirs, what)
    assert repr(ours) == repr(theirs)
    assert lamella.dtype_policies.serialize(ours) == keras.dtype_policies.serialize(theirs)
    assert lamella.dtype_policies.deserialize(keras.dtype_policies.serialize(theirs)) == ours


@pytest.mark.parametrize("name", ["Int8QuantizationConfig", "Int4QuantizationConfig", "Float8QuantizationConfig"])
def test_configs(name):
    ours, theirs = getattr(quantizers, name)(), getattr(keras.quantizers, name)()
    assert json.dumps(quantizers.serialize(ours)) == json.dumps(keras.quantizers.serialize(theirs))
    again = quantizers.deserialize(quantizers.serialize(ours))
    assert again.get_config() == ours.get_config()
    assert again.mode == theirs.mode


def test_what_cannot_be(x):
    with pytest.raises(ArgumentError, match="int8's"):
        quantizers.AbsMaxQuantizer(value_range=(-200, 200))
    with pytest.raises(ArgumentError, match="block_size"):
        quantizers.Int4QuantizationConfig(block_size=0)
    with pytest.raises(ArgumentError, match="block_size"):
        quantizers.Int4QuantizationConfig(weight_quantizer=quantizers.AbsMaxQuantizer())
    with pytest.raises(DTypeError, match="of type int8"):
        quantizers.pack_int4(x)
    with pytest.raises(ArgumentError, match="int4/128"):
        lamella.dtype_policies.Int4DTypePolicy("int4/0")
    with pytest.raises(ArgumentError, match="int5"):
        lamella.dtype_policies.QuantizedDTypePolicy("int5")


@pytest.mark.parametrize("shape", [(1, 3, 5), (40, 64, 32), (7, 2000, 3)])
def test_integer_product_is_exact(shape, rng):
    from lamella.engine.integer_product import integer_product

    rows, inner, columns = shape
    a, b = (torch.tensor(rng.integers(-127, 128, each), dtype=torch.int8) for each in ((rows, inner), (inner, columns)))
    assert torch.equal(integer_product(a, b).double(), a.double() @ b.double())
