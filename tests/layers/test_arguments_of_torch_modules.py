"""Modules of `torch.nn` in files: made again of the arguments that their attributes tell."""

import json

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils.parametrizations import weight_norm

import lamella
from lamella import layers
from lamella.engine.allowance import weights_within
from lamella.engine.registry import deserialize, serialize
from lamella.errors import ArgumentError, ConfigError, FileError

ROWS, PICTURE, STEPS = (3, 8), (3, 4, 6, 6), (3, 5, 8)
MODULES = [
    (lambda: nn.Linear(8, 2, bias=False), ROWS),
    (lambda: nn.Bilinear(8, 8, 2), (ROWS, ROWS)),
    (lambda: nn.Conv2d(4, 6, 3, stride=2, padding=1, groups=2, padding_mode="reflect"), PICTURE),
    (lambda: nn.Conv1d(5, 4, 3, padding="same", dilation=2, bias=False), STEPS),
    (lambda: nn.ConvTranspose2d(4, 2, 3, stride=2, output_padding=1), PICTURE),
    (lambda: nn.BatchNorm2d(4, eps=0.1, affine=False), PICTURE),
    (lambda: nn.BatchNorm1d(8, momentum=None, track_running_stats=True), ROWS),
    (lambda: nn.InstanceNorm2d(4, affine=True), PICTURE),
    (lambda: nn.GroupNorm(2, 4, eps=0.01), PICTURE),
    (lambda: nn.LayerNorm((5, 8), bias=False), STEPS),
    (lambda: nn.RMSNorm(8), ROWS),
    (lambda: nn.PReLU(8), ROWS),
    (lambda: nn.GELU("tanh"), ROWS),
    (lambda: nn.LeakyReLU(0.3, inplace=True), ROWS),
    (lambda: nn.Dropout(0.3), ROWS),
    (lambda: nn.MaxPool2d(3, 2, padding=1, ceil_mode=True), PICTURE),
    (lambda: nn.AvgPool2d(3, 2, padding=1, count_include_pad=False), PICTURE),
    (lambda: nn.AdaptiveAvgPool2d((1, 2)), PICTURE),
    (lambda: nn.Flatten(1, 2), PICTURE),
    (lambda: nn.Unflatten(1, (2, 2)), PICTURE),
    (lambda: nn.Upsample(scale_factor=2.0, mode="bilinear"), PICTURE),
    (lambda: nn.PixelShuffle(2), PICTURE),
    (lambda: nn.LSTM(8, 6, 2, batch_first=True, bidirectional=True, dropout=0.1, proj_size=2), STEPS),
    (lambda: nn.GRU(8, 6, bias=False), STEPS),
    (lambda: nn.RNN(8, 6, nonlinearity="relu"), STEPS),
    (lambda: nn.MultiheadAttention(8, 2, bias=False, add_bias_kv=True, batch_first=True), (STEPS, STEPS, STEPS)),
    (lambda: nn.TransformerEncoderLayer(8, 2, 16, 0.2, "gelu", batch_first=True, norm_first=True), STEPS),
    (lambda: nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), 2, nn.LayerNorm(8)), STEPS),
    (lambda: nn.TransformerDecoder(nn.TransformerDecoderLayer(8, 2, 16), 2), (STEPS, STEPS)),
    (lambda: nn.Transformer(8, 2, 1, 2, 16, activation="gelu", batch_first=True), (STEPS, STEPS)),
    (lambda: nn.Sequential(nn.Linear(8, 4), nn.Sequential(nn.Tanh(), layers.Dense(3))), ROWS),
    (lambda: nn.Linear(8, 2).double(), ROWS),
]


@pytest.mark.parametrize(("make", "shape"), MODULES)
@pytest.mark.filterwarnings("ignore:enable_nested_tensor", "ignore:LSTM with projections")
def test_a_module_is_made_again(make, shape):
    module = make().eval()
    shapes = shape if isinstance(shape[0], tuple) else (shape,)
    kind = next((weight.dtype for weight in module.parameters()), torch.float32)
    inputs = [torch.rand(each, dtype=kind) for each in shapes]
    expected = module(*[each.clone() for each in inputs])
    again = deserialize(json.loads(json.dumps(serialize(module)))).eval()
    again(*[each.clone() for each in inputs])
    again.load_state_dict(module.state_dict())
    torch.testing.assert_close(again(*inputs), expected)


def test_a_model_with_modules_of_torch_is_kept(rng, tmp_path):
    inputs = lamella.Input((8,))
    hidden = layers.TorchModule(nn.Sequential(nn.Linear(8, 6), nn.BatchNorm1d(6), nn.ReLU()), name="torch")(inputs)
    model = lamella.Model(inputs, layers.Dense(1)(hidden))
    model.get_layer("torch").trainable = False
    model.compile("adam", "mse")
    x = rng.normal(size=(32, 8)).astype("float32")
    model.fit(x, x[:, :1], verbose=0)
    model.save(tmp_path / "model.keras")
    again = lamella.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(again.predict(x, verbose=0), model.predict(x, verbose=0))
    assert not again.get_layer("torch").trainable
    again.fit(x, x[:, :1], verbose=0)
    clone = lamella.models.clone_model(model)
    assert clone.get_layer("torch").module is not model.get_layer("torch").module
    assert clone.count_params() == model.count_params()


def test_a_module_with_a_get_config_is_kept(tmp_path):
    @lamella.saving.register_keras_serializable("kept")
    class Scale(nn.Module):
        def __init__(self, by):
            super().__init__()
            self.by = by

        def forward(self, x):
            return x * self.by

        def get_config(self):
            return {"by": self.by}

    model = lamella.Sequential([lamella.Input((2,)), Scale(3.0)])
    model.save(tmp_path / "model.keras")
    again = lamella.saving.load_model(tmp_path / "model.keras")
    assert again(torch.ones(1, 2)).tolist() == [[3.0, 3.0]]


class Own(nn.Linear):
    """A class of a user's, of which only its code tells what it does."""


def changed():
    module = nn.MaxPool2d(2)
    module.set_by_hand = 5
    return module


@pytest.mark.parametrize("make", [lambda: Own(2, 2), lambda: weight_norm(nn.Linear(2, 2)), changed])
def test_what_cannot_be_told_is_an_error_with_the_mend(make):
    with pytest.raises(ArgumentError, match=r"get_config\(\).*save_weights"):
        layers.TorchModule(make(), name="mine").get_config()


@pytest.mark.parametrize(
    "config",
    [
        {"class": "utils"},
        {"class": "Linear.__init__"},
        {"class": 3},
        "Linear",
        {"class": "Linear", "arguments": [3]},
        {"class": "Linear"},
        {"class": "Linear", "arguments": {"size": 3}},
        {"class": "Linear", "arguments": {"in_features": "a", "out_features": 2}},
        {"class": "DataParallel", "arguments": {"module": {"class": "Linear"}}},
        {"class": "Sequential", "modules": [3]},
        {"class": "Sequential", "modules": [["0", "os.system"]]},
        {"class": "Sequential", "modules": {"a": 1}},
        {"class": "Sequential"},
    ],
)
def test_a_damaged_config_is_an_error(config):
    with pytest.raises(ConfigError):
        deserialize({"class_name": "__torch_module__", "config": config})


def test_a_torch_module_holds_a_module():
    with pytest.raises(ConfigError, match=r"torch\.nn\.Module"):
        layers.TorchModule.from_config({"module": 3})


@pytest.mark.parametrize("name", ["torch.load", "torch.from_file", "os.system", "torch.nn.functional", "erf", 3, None])
def test_what_is_no_function_of_tensors_is_not_found(name):
    with pytest.raises(ConfigError, match="no function"):
        deserialize({"class_name": "__torch_function__", "config": {"name": name}})


def test_a_file_cannot_ask_for_more_memory_than_it_has_numbers_for():
    config = {"class": "Linear", "arguments": {"in_features": 10**6, "out_features": 10**6}}
    with weights_within(1000), pytest.raises(FileError, match="Linear"):
        deserialize({"class_name": "__torch_module__", "config": config})


@pytest.mark.parametrize(
    "activation",
    [
        nn.functional.leaky_relu,
        nn.functional.hardtanh,
        nn.functional.gelu,
        torch.erf,
        torch.special.expit,
        torch.tanh,
        nn.GELU("tanh"),
        nn.Softmax(-1),
        nn.PReLU(),
    ],
)
def test_activations_of_torch_are_kept(activation, tmp_path):
    """`leaky_relu` has a slope of 0.01 in torch and of 0.2 in Keras, `gelu` is the same in both."""
    model = lamella.Sequential([lamella.Input((4,)), layers.Dense(3, activation), layers.Lambda(torch.erf)])
    for weight in model.parameters():
        weight.data.normal_(generator=torch.Generator().manual_seed(0))
    model.save(tmp_path / "model.keras")
    again, x = lamella.saving.load_model(tmp_path / "model.keras"), torch.randn(5, 4)
    torch.testing.assert_close(again(x), model(x))
    torch.testing.assert_close(again.layers[0].activation(x), activation(x))
    assert repr(lamella.models.clone_model(again).layers[0].activation) == repr(again.layers[0].activation)


def test_a_module_in_two_places_is_one_in_the_file_too(tmp_path):
    linear = nn.Linear(4, 4)
    model = lamella.Sequential([lamella.Input((4,)), nn.Sequential(linear, nn.Tanh(), linear)])
    model.save(tmp_path / "model.keras")
    again = lamella.saving.load_model(tmp_path / "model.keras").layers[0].module
    assert again[0] is again[2]
