"""The arguments of InputLayer, functions in the configs of Lambda, layers whose build needs no shape, long windows."""

import numpy as np
import pytest
import torch

import lamella
from lamella import layers, ops
from lamella.errors import ArgumentError, UnknownNameError, UnsafeError


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"batch_size": 4, "batch_shape": (4, 3)}, "not both"),
        ({}, "needs the `shape`"),
        ({"shape": (3,), "input_tensor": np.zeros((2, 3))}, "must be a symbolic tensor"),
        ({"shape": (4,), "input_tensor": True}, "`shape` is"),
        ({"batch_shape": (2, 4), "input_tensor": True}, "`batch_shape` is"),
    ],
)
def test_arguments_of_an_input_that_do_not_go_together(arguments, says):
    if arguments.get("input_tensor") is True:
        arguments = {**arguments, "input_tensor": lamella.Input(batch_shape=(2, 3))}
    with pytest.raises(ArgumentError, match=says):
        layers.InputLayer(**arguments)


def test_an_input_of_a_tensor_that_is_there():
    tensor = lamella.Input(batch_shape=(2, 3))
    assert layers.InputLayer(shape=(3,), input_tensor=tensor).output is tensor


def test_a_lambda_is_made_again_where_its_code_is_trusted():
    config = layers.Lambda(lambda x: x**2).get_config()
    with pytest.raises(UnsafeError):
        layers.Lambda.from_config(config)
    with pytest.raises(UnsafeError):
        layers.Lambda.from_config(config, safe_mode=True)
    layer = layers.Lambda.from_config(config, safe_mode=False)
    assert layer(torch.tensor([3.0])).tolist() == [9.0]


def test_a_function_of_a_lambda_by_its_name():
    config = layers.Lambda(ops.square).get_config()
    assert config["function"]["config"] == "square"
    layer = layers.Lambda.from_config(config, {"square": ops.square})
    assert layer(torch.tensor([3.0])).tolist() == [9.0]
    with pytest.raises(UnknownNameError, match="square"):
        layers.Lambda.from_config(config)


@pytest.mark.parametrize("mode", [None, "int8", "int4"])
@pytest.mark.parametrize("kind", [layers.Embedding, layers.ReversibleEmbedding])
def test_files_of_a_layer_that_was_built_without_a_shape(kind, mode, tmp_path):
    layer = kind(10, 16)
    layer.build()
    if mode is not None:
        layer.quantize(mode)
    model = lamella.Sequential([layer])
    x = np.arange(6).reshape(2, 3)
    before = layer(x)
    model.save(tmp_path / "model.keras")
    torch.testing.assert_close(lamella.saving.load_model(tmp_path / "model.keras")(x), before)


@pytest.mark.parametrize(
    ("layer", "frames"),
    [
        (layers.STFTSpectrogram(frame_length=512, frame_step=256), 30),
        (layers.Conv1D(4, 400, strides=320), 24),
        (layers.AveragePooling1D(500), 16),
    ],
)
def test_a_window_longer_than_what_stands_for_an_unknown_length(layer, frames):
    inputs = lamella.Input((None, 1))
    model = lamella.Model(inputs, layer(inputs))
    assert model.output_shape[:2] == (None, None)
    assert model(torch.randn(2, 8000, 1)).shape[1] == frames
