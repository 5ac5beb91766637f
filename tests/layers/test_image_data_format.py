"""`set_image_data_format("channels_first")` is what layers and operations go by where they are told nothing."""

import os

os.environ["KERAS_BACKEND"] = "torch"

import keras as real
import numpy as np
import pytest

import lamella

RNG = np.random.default_rng(0)
X = RNG.random((2, 3, 8, 10)).astype("float32")
LINE = RNG.random((2, 3, 12)).astype("float32")
KERNEL = RNG.normal(size=(3, 3, 3, 4)).astype("float32")
CASES = {
    "Conv2D": lambda k: k.layers.Conv2D(4, 3, kernel_initializer="ones")(X),
    "Conv1D": lambda k: k.layers.Conv1D(4, 3, kernel_initializer="ones")(LINE),
    "SeparableConv2D": lambda k: k.layers.SeparableConv2D(
        4, 3, depthwise_initializer="ones", pointwise_initializer="ones"
    )(X),
    "Conv2DTranspose": lambda k: k.layers.Conv2DTranspose(4, 3, kernel_initializer="ones")(X),
    "MaxPooling2D": lambda k: k.layers.MaxPooling2D()(X),
    "AveragePooling1D": lambda k: k.layers.AveragePooling1D(2)(LINE),
    "GlobalAveragePooling2D": lambda k: k.layers.GlobalAveragePooling2D()(X),
    "GlobalMaxPooling1D": lambda k: k.layers.GlobalMaxPooling1D()(LINE),
    "UpSampling2D": lambda k: k.layers.UpSampling2D()(X),
    "ZeroPadding2D": lambda k: k.layers.ZeroPadding2D()(X),
    "Cropping2D": lambda k: k.layers.Cropping2D()(X),
    "Flatten": lambda k: k.layers.Flatten()(X),
    "Resizing": lambda k: k.layers.Resizing(4, 4)(X),
    "CenterCrop": lambda k: k.layers.CenterCrop(4, 4)(X),
    "conv": lambda k: k.ops.conv(X, KERNEL),
    "depthwise_conv": lambda k: k.ops.depthwise_conv(X, KERNEL[..., :1]),
    "max_pool": lambda k: k.ops.max_pool(X, 2),
    "resize": lambda k: k.ops.image.resize(X, (4, 4)),
    "pad_images": lambda k: k.ops.image.pad_images(X, 1, 2, 1, 2),
    "crop_images": lambda k: k.ops.image.crop_images(X, 1, 1, 2, 2),
    "extract_patches": lambda k: k.ops.image.extract_patches(X, (2, 2)),
    "rgb_to_hsv": lambda k: k.ops.image.rgb_to_hsv(X),
    "rgb_to_grayscale": lambda k: k.ops.image.rgb_to_grayscale(X),
    "gaussian_blur": lambda k: k.ops.image.gaussian_blur(X),
}


@pytest.fixture(autouse=True)
def channels_first():
    for keras in (lamella, real):
        keras.config.set_image_data_format("channels_first")
    yield
    for keras in (lamella, real):
        keras.config.set_image_data_format("channels_last")


@pytest.mark.parametrize("name", CASES)
def test_as_in_keras(name):
    ours, keras = CASES[name](lamella), CASES[name](real)
    np.testing.assert_allclose(
        lamella.ops.convert_to_numpy(ours), real.ops.convert_to_numpy(keras), rtol=1e-4, atol=1e-5
    )


def test_a_file_says_what_a_layer_was_made_with(tmp_path):
    model = lamella.Sequential([lamella.Input((3, 8, 10)), lamella.layers.Conv2D(4, 3), lamella.layers.MaxPooling2D()])
    model.save(tmp_path / "model.keras")
    expected = model.predict(X, verbose=0)
    lamella.config.set_image_data_format("channels_last")
    np.testing.assert_array_equal(lamella.models.load_model(tmp_path / "model.keras").predict(X, verbose=0), expected)


def test_the_families_take_channels_last_images_whatever_was_set():
    vision = lamella.vision
    assert vision.UNet(2, (16, 16, 3), filters=4, depth=2).output_shape == (None, 16, 16, 2)
    assert lamella.config.image_data_format() == "channels_first"
    encoder = lamella.pretraining.networks.convolutional_encoder("Test", (8, 8, 1), (4,), 3, "relu")
    assert encoder.output_shape == (None, 3)
