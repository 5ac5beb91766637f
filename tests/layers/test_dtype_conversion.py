"""`model.half()`, `.double()`, `.to(dtype)`: torch's way to another type, which a layer's policy follows."""

import numpy as np
import pytest
import torch

import lamella
from lamella import layers


@pytest.fixture
def model():
    return lamella.Sequential(
        [
            lamella.Input((6, 4)),
            layers.Conv1D(8, 3, activation="relu"),
            layers.BatchNormalization(),
            layers.Dropout(0.5),
            layers.LSTM(5, return_sequences=True),
            layers.Flatten(),
            torch.nn.Linear(20, 3),
            layers.Dense(1),
        ]
    )


@pytest.mark.parametrize("kind", ["float64", "float16", "bfloat16"])
def test_a_converted_model_computes_in_the_new_type(model, kind):
    x = torch.rand(8, 6, 4)
    before = model(x)
    to = getattr(torch, kind)
    assert model.to(to) is model
    after = model(x.to(to))
    assert after.dtype is to and {weight.dtype for weight in model.parameters()} == {to}
    assert all(layer.compute_dtype == kind for layer in model.layers)
    torch.testing.assert_close(after.float(), before, rtol=0.05, atol=0.02)
    assert model(x).dtype is to  # inputs of another type are brought into it
    back = model.float()(x)
    assert back.dtype is torch.float32
    torch.testing.assert_close(back, before, rtol=0.05, atol=0.02)


def test_a_converted_model_is_trained_and_kept_in_the_new_type(model, tmp_path):
    model.double()
    model.compile("adam", "mse")
    x = np.random.default_rng(0).normal(size=(16, 6, 4))
    model.fit(x, x.mean((1, 2), keepdims=True)[:, 0], verbose=0)
    assert model.predict(x, verbose=0).dtype == np.float64
    model.save(tmp_path / "model.keras")
    again = lamella.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(again.predict(x, verbose=0), model.predict(x, verbose=0))
    assert again.layers[0].dtype == "float64"


def test_layers_without_weights_yet_make_them_in_the_new_type():
    net = torch.nn.Sequential(layers.Dense(4), layers.Dropout(0.1), layers.Dense(2)).half()
    assert net(torch.ones(3, 5).half()).dtype is torch.float16
    assert {weight.dtype for weight in net.parameters()} == {torch.float16}


def test_a_mixed_policy_stays_unless_the_weights_change():
    layer = layers.Dense(2, dtype="mixed_bfloat16")
    layer.build((None, 3))
    assert layer.float().dtype_policy.name == "mixed_bfloat16"
    assert layer.to("cpu").dtype_policy.name == "mixed_bfloat16"
    assert layer.bfloat16().dtype_policy.name == "bfloat16"
    assert layer(torch.ones(1, 3)).dtype is torch.bfloat16


def test_a_quantized_layer_computes_in_the_new_type():
    layer = layers.Dense(2)
    layer.build((None, 3))
    layer.quantize("int8")
    x = torch.randn(5, 3)
    before = layer(x)
    assert layer.double().dtype_policy.name == "int8_from_float64"
    assert layer(x.double()).dtype is torch.float64
    torch.testing.assert_close(layer(x.double()).float(), before, rtol=1e-3, atol=1e-3)
    with pytest.raises(lamella.errors.ArgumentError, match="float16"):
        layer.half()
    assert layer(x).dtype is torch.float64  # as it was


@pytest.mark.parametrize("layer", [layers.StringLookup(vocabulary=["a", "b"]), layers.Hashing(3)])
def test_layers_of_other_types_stay_as_they_are(layer):
    kind = layer.dtype
    before = layer(np.array(["a", "b"]))
    assert layer.half() is layer
    if not kind.startswith("float"):
        assert layer.dtype == kind
    torch.testing.assert_close(layer(np.array(["a", "b"])), before)
