"""`set_image_data_format("channels_first")`: layers and functions that name no order of axes go by it, as in Keras."""

import numpy as np
import pytest
from test_layers_against_keras import close

import lamella
from lamella import layers, ops

keras = pytest.importorskip("keras")


@pytest.fixture
def channels_first():
    for library in (lamella, keras):
        library.config.set_image_data_format("channels_first")
    yield
    for library in (lamella, keras):
        library.config.set_image_data_format("channels_last")


CASES = [
    ("Conv2D", {"filters": 4, "kernel_size": 3}),
    ("Conv2DTranspose", {"filters": 4, "kernel_size": 3, "strides": 2}),
    ("DepthwiseConv2D", {"kernel_size": 3}),
    ("MaxPooling2D", {}),
    ("AveragePooling2D", {"pool_size": 2, "strides": 1}),
    ("GlobalAveragePooling2D", {}),
    ("GlobalMaxPooling2D", {"keepdims": True}),
    ("UpSampling2D", {}),
    ("ZeroPadding2D", {"padding": (1, 2)}),
    ("Cropping2D", {"cropping": (1, 2)}),
    ("Flatten", {}),
    ("CenterCrop", {"height": 4, "width": 5}),
    ("Resizing", {"height": 4, "width": 5}),
    ("Rescaling", {"scale": [1.0, 2.0, 3.0], "offset": 1.0}),
]


@pytest.mark.parametrize(("name", "arguments"), CASES)
def test_layers(channels_first, name, arguments, rng):
    x = rng.normal(size=(2, 3, 8, 9)).astype("float32")
    ours, theirs = getattr(layers, name)(**arguments), getattr(keras.layers, name)(**arguments)
    theirs(x), ours(x)
    ours.set_weights(theirs.get_weights())
    close(ours(x).detach(), theirs(x).detach())
    if "data_format" in theirs.get_config():
        assert ours.data_format == "channels_first"


def test_functions(channels_first, rng):
    x, kernel = (rng.normal(size=shape).astype("float32") for shape in ((2, 3, 8, 9), (3, 3, 3, 4)))
    for name, arguments in (("conv", (x, kernel)), ("max_pool", (x, 2)), ("average_pool", (x, 2))):
        close(getattr(ops, name)(*arguments), getattr(keras.ops, name)(*arguments))
    close(ops.image.resize(x, (4, 5)), keras.ops.image.resize(x, (4, 5)))


def test_an_order_that_is_named_counts(channels_first):
    assert layers.Conv2D(2, 3, data_format="channels_last")(np.ones((1, 5, 5, 3), "float32")).shape == (1, 3, 3, 2)
