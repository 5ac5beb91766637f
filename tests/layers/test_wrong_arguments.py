"""Arguments of a wrong type: refused where Keras refuses them, by an error that handlers for Keras's catch."""

import keras
import numpy as np
import pytest

import lamella
from lamella import layers
from lamella.errors import ArgumentTypeError, ShapeError

WRONG = [
    ("BatchNormalization", {"axis": (1.5, 2)}),
    ("BatchNormalization", {"axis": None}),
    ("Conv2D", {"filters": "3", "kernel_size": 2}),
    ("Conv2D", {"filters": 2, "kernel_size": 2, "groups": None}),
    ("DepthwiseConv2D", {"kernel_size": 2, "depth_multiplier": [2]}),
    ("Dense", {"units": 2.5}),
    ("Dense", {"units": 2, "trainable": "no"}),
    ("Dense", {"units": 2, "trainable": None}),
    ("Dot", {"axes": "3"}),
    ("Dropout", {"rate": "half"}),
    ("Embedding", {"input_dim": 3.7, "output_dim": 8}),
    ("GRU", {"units": None}),
    ("LSTM", {"units": "3"}),
    ("LayerNormalization", {"axis": {"axis": -1}}),
    ("LayerNormalization", {"axis": "last"}),
    ("RepeatVector", {"n": 3.5}),
    ("Reshape", {"target_shape": 12}),
    ("STFTSpectrogram", {"window": "unknowable"}),
    ("UnitNormalization", {"axis": 0.5}),
    ("UpSampling1D", {"size": 2.5}),
    ("UpSampling1D", {"size": 0}),
]


@pytest.mark.parametrize(("layer", "arguments"), WRONG)
def test_they_are_refused_as_by_keras(layer, arguments):
    with pytest.raises((TypeError, ValueError)) as theirs:
        getattr(keras.layers, layer)(**arguments)
    with pytest.raises(theirs.type):
        getattr(layers, layer)(**arguments)


def test_a_wrong_type_is_a_type_error_and_a_value_error():
    for kind in (TypeError, ValueError, ArgumentTypeError):
        with pytest.raises(kind, match="`units` must be a positive whole number; got '3'"):
            layers.Dense("3")


@pytest.mark.parametrize("axes", [[3], [1, 5], [-2]])
def test_shared_axes_that_the_input_does_not_have(axes):
    with pytest.raises(ValueError, match=r"PReLU 'prelu': `shared_axes` must name axes .* from 1 to 2; got"):
        layers.PReLU(shared_axes=axes, name="prelu")(np.ones((2, 3, 4), "float32"))


def test_windows_by_name():
    for name in ("hann", "blackmanharris", None):
        assert layers.STFTSpectrogram(window=name).window == name
    with pytest.raises(ValueError, match="unknowable"):
        lamella.initializers.STFT(window="unknowable")


@pytest.mark.parametrize(
    ("shape", "target", "wanted", "misfit"),
    [
        ((None,), (3, 5), (None, 3, 5), (1, 14)),
        ((None, None, 4), (-1, 100), (None, None, 100), (1, 2, 3, 4)),
        ((None, 4), (7, 4), (None, 7, 4), (1, 6, 4)),
    ],
)
def test_reshape_gives_unknown_sizes_known_ones(shape, target, wanted, misfit):
    for library in (lamella, keras):
        assert tuple(library.layers.Reshape(target)(library.Input(shape)).shape) == wanted
    inputs = lamella.Input(shape)
    model = lamella.Model(inputs, layers.Reshape(target)(inputs))
    with pytest.raises(ValueError, match="cannot make"):
        model.predict(np.ones(misfit, "float32"), verbose=0)
    with pytest.raises(ValueError, match="14"):  # where the size is known, before there are data
        layers.Reshape((3, 5))(lamella.Input((14,)))


def test_reshape_of_unknown_sizes_says_the_type_of_its_policy():
    for library in (lamella, keras):
        layer = library.layers.Reshape((12,), dtype="mixed_float16")
        assert "float16" in str(layer(library.Input((None, 3))).dtype)


def test_a_softmax_over_one_output_is_warned_of():
    """It is always 1, so that nothing is learned: Keras warns when it is computed, here when the layer is made."""
    for make in (lambda n: layers.Dense(n, activation="softmax"), lambda n: layers.Conv2D(n, 1, activation="softmax")):
        with pytest.warns(UserWarning, match="the softmax of its one output is always 1.*activation='sigmoid'"):
            make(1)
        make(2)
    layers.Dense(1, activation="sigmoid")
    layers.Conv2D(1, 1, activation="softmax", data_format="channels_first")  # along the columns


def test_an_axis_that_is_named_twice():
    with pytest.raises(ShapeError, match="names one twice"):
        layers.LayerNormalization(axis=(1, -1))(np.ones((2, 3), "float32"))
