"""Every image layer does with the same random numbers what real Keras's does."""

import numpy as np
import pytest
import torch
from image_cases import COMPOSED, EVERY, FIXED, FORMATS, RANDOM, close, fresh, ours_from, pictures, top_of

from lamella import layers

keras = pytest.importorskip("keras")

pytestmark = pytest.mark.filterwarnings("ignore:Tensor.T is deprecated")


def both(name, arguments, data_format="channels_last"):
    arguments = {**arguments, "data_format": data_format}
    return getattr(layers, name)(**arguments), getattr(keras.layers, name)(**arguments)


@pytest.mark.parametrize("data_format", FORMATS)
@pytest.mark.parametrize(("name", "arguments"), RANDOM)
def test_images_for_the_same_random_numbers(name, arguments, data_format, rng):
    ours, theirs = both(name, arguments, data_format)
    x = pictures(rng, data_format, top_of(arguments))
    drawn = theirs.get_random_transformation(x, training=True)
    result = ours.transform_images(x, ours_from(name, fresh(drawn)))
    # Keras works on its input in place
    close(result, theirs.transform_images(x.clone(), fresh(drawn), training=True))


@pytest.mark.parametrize(("name", "arguments"), RANDOM)
def test_integer_images(name, arguments, rng):
    ours, theirs = both(name, arguments)
    if top_of(arguments) == 1:
        pytest.skip("integers are from 0 to 255")
    x = pictures(rng, dtype="uint8")
    drawn = theirs.get_random_transformation(x, training=True)
    result = ours.transform_images(x, ours_from(name, fresh(drawn)))
    floats = theirs.transform_images(x.float(), fresh(drawn), training=True)
    if ours.keeps_integers:
        assert result.dtype is torch.uint8
        close(result.float(), floats, 0.51)
    else:
        close(result, floats)


@pytest.mark.parametrize(("name", "arguments"), COMPOSED)
def test_composed_layers(name, arguments, rng):
    ours, theirs = both(name, arguments)
    x = pictures(rng, top=top_of(arguments))
    if name == "RandAugment":
        # All layers run in Keras, also those that were not picked. Its brightness changes its input in place, and its
        # rotation the matrix that the next rotation uses.
        for child in (theirs.random_brightness, theirs.random_rotation):
            child.transform_images = _on_copies(child.transform_images)
    for _ in range(8):
        drawn = theirs.get_random_transformation(x, training=True)
        result = ours.transform_images(x, ours_from(name, fresh(drawn)))
        reference = theirs.transform_images(x.clone(), fresh(drawn), training=True)
        # Posterization and equalization make steps of what is rounding before them.
        near = torch.isclose(result, reference, rtol=1e-3, atol=1e-3 * top_of(arguments))
        assert near.float().mean() > 0.98


def _on_copies(transform_images):
    return lambda images, drawn: transform_images(images.clone(), fresh(drawn))


def channels_first_is_broken_in_keras(name):
    """AutoContrast takes the extremes over channels and rows."""
    return name == "AutoContrast"


@pytest.mark.parametrize("data_format", FORMATS)
@pytest.mark.parametrize("dtype", ["float32", "uint8"])
@pytest.mark.parametrize(("name", "arguments"), FIXED)
def test_layers_without_chance(name, arguments, dtype, data_format, rng):
    if dtype == "uint8" and top_of(arguments) == 1:
        pytest.skip("integers are from 0 to 255")
    if data_format == "channels_first" and channels_first_is_broken_in_keras(name):
        pytest.skip("compared below")
    ours, theirs = both(name, arguments, data_format)
    x = pictures(rng, data_format, top_of(arguments), dtype=dtype)
    x[1] = x[1] * 0 + x[1, 0, 0, 0]  # one value everywhere
    result, reference = ours(x), theirs(x.clone())
    truncates = name.startswith("ContrastLimited") and dtype == "uint8"  # where we round
    close(result.int() if truncates else result, reference.int() if truncates else reference, 1 if truncates else 1e-3)
    assert result.dtype == reference.dtype
    close(ours(x, training=True), result, 0)
    if name != "Equalization":
        close(ours(x[0]), result[0], 0)


def test_auto_contrast_of_channels_first_is_that_of_channels_last(rng):
    x = pictures(rng)
    turned = layers.AutoContrast(data_format="channels_first")(x.permute(0, 3, 1, 2))
    close(turned.permute(0, 2, 3, 1), layers.AutoContrast()(x), 0)


@pytest.mark.parametrize("data_format", FORMATS)
def test_random_crop(data_format, rng):
    ours, theirs = both("RandomCrop", {"height": 5, "width": 4}, data_format)
    x = pictures(rng, data_format)
    for _ in range(5):
        drawn = theirs.get_random_transformation(x, training=True)
        close(ours.transform_images(x, ours_from("RandomCrop", drawn)), theirs.transform_images(x, drawn))


@pytest.mark.parametrize("size", [(12, 5), (4, 10), (9, 8)])
def test_random_crop_of_images_that_are_not_larger(size, rng):
    ours, _ = both("RandomCrop", {"height": size[0], "width": size[1]})
    x = pictures(rng)
    close(ours(x, training=True), _documented(x, size))
    close(ours(x, training=False), ours(x, training=True), 0)


def _documented(x, size):
    """What Keras's documentation promises: the largest window of the target's proportions. Keras cuts another one."""
    return torch.as_tensor(keras.preprocessing.image.smart_resize(x, size))


def test_elastic_transform(rng):
    ours, theirs = both("RandomElasticTransform", {"scale": (0.5, 0.5), "factor": (0.6, 0.6)})
    x = pictures(rng, shape=(4, 40, 30))
    drawn = theirs.get_random_transformation(x, training=True)
    torch.manual_seed(5)
    reference = theirs.transform_images(x, drawn)
    torch.manual_seed(5)
    noise = torch.stack([torch.normal(0.0, 1.0, (4, 40, 30)) for _ in range(2)])
    close(ours.transform_images(x, {**drawn, "noise": noise}), reference, 1e-2)


@pytest.mark.parametrize("data_format", FORMATS)
def test_colour_jitter_is_its_four_layers_in_a_row(data_format, rng):
    factors = {"brightness_factor": (0.1, 0.1), "contrast_factor": (0.0, 0.3), "saturation_factor": (0.3, 0.3)}
    ours = layers.RandomColorJitter(**factors, hue_factor=0.2, data_format=data_format)
    x = pictures(rng, data_format)
    drawn = ours.get_random_transformation(x)
    expected = x.clone()
    for layer, factor in (
        ("RandomBrightness", (0.1, 0.1)),
        ("RandomContrast", (0.0, 0.3)),
        ("RandomSaturation", (0.3, 0.3)),
        ("RandomHue", 0.2),
    ):
        key = "random_" + layer.removeprefix("Random").lower()
        theirs = getattr(keras.layers, layer)(factor, data_format=data_format)
        expected = theirs.transform_images(expected, drawn[key], training=True)
    close(ours.transform_images(x, drawn), expected)


@pytest.mark.parametrize("name", ["MixUp", "CutMix"])
def test_mixed_labels(name, rng):
    ours, theirs = both(name, {})
    x, labels = pictures(rng), torch.eye(4)
    drawn = theirs.get_random_transformation(x)
    close(ours.transform_labels(labels, drawn), theirs.transform_labels(labels, drawn))


@pytest.mark.parametrize(
    ("name", "arguments"),
    [c for c in RANDOM if c[0] in ("RandomFlip", "RandomRotation", "RandomTranslation", "RandomZoom", "RandomShear")],
)
def test_masks_move_along(name, arguments, rng):
    ours, theirs = both(name, arguments)
    x = pictures(rng)
    masks = torch.tensor(rng.integers(0, 5, (4, 9, 8, 1)).astype("uint8"))
    drawn = theirs.get_random_transformation(x)
    moved = ours.transform_segmentation_masks(masks, ours_from(name, fresh(drawn)))
    reference = theirs.transform_segmentation_masks(masks, fresh(drawn))
    assert (moved.float() == reference.float()).float().mean() > 0.98  # rounding halves apart
    assert set(moved.unique().tolist()) <= {0, 1, 2, 3, 4, 9}  # 3 and 9 are fill values too


@pytest.mark.parametrize(("name", "arguments"), EVERY)
def test_configs_go_both_ways(name, arguments):
    ours, theirs = both(name, arguments)
    own, reference = ours.get_config(), theirs.get_config()
    assert set(reference) <= set(own)
    added = {"RandomGrayscale": {"seed"}, "MaxNumBoundingBoxes": {"fill_value"}}.get(name, set())
    assert set(own) - set(reference) == added
    plain = {key: _plain(value) for key, value in own.items() if key not in ("name", *added)}
    skip = ("name", "seed") if name == "RandomCrop" else ("name",)  # Keras makes a seed of its own
    expected = {key: _plain(value) for key, value in reference.items() if key not in skip}
    assert {key: plain[key] for key in expected} == expected
    again = type(ours).from_config(own)
    assert again.get_config() == own
    from_theirs = type(ours).from_config(keras.saving.serialize_keras_object(theirs)["config"])
    assert {k: _plain(v) for k, v in from_theirs.get_config().items() if k in expected} == expected
    if name != "RandomShear":  # Keras cannot read its own config of a number: (-f, f) is outside of [0, 1]
        back = type(theirs).from_config(own)
        assert {k: _plain(v) for k, v in back.get_config().items() if k in expected} == expected


def _plain(value):
    if isinstance(value, dict) and value.get("class_name") == "__tuple__":
        return _plain(value["items"])
    return [_plain(v) for v in value] if isinstance(value, (tuple, list)) else value


@pytest.mark.parametrize("name", sorted({name for name, _ in EVERY}))
def test_arguments_have_keras_names_order_and_defaults(name):
    import inspect

    ours = inspect.signature(getattr(layers, name).__init__).parameters
    theirs = inspect.signature(getattr(keras.layers, name).__init__).parameters
    assert list(ours) == list(theirs)
    for key, parameter in theirs.items():
        assert ours[key].default == parameter.default, key


def test_every_image_layer_of_keras_is_here():
    from keras.src.layers.preprocessing.image_preprocessing.base_image_preprocessing_layer import (
        BaseImagePreprocessingLayer,
    )

    found = {
        name
        for name, value in vars(keras.layers).items()
        if isinstance(value, type) and issubclass(value, BaseImagePreprocessingLayer)
    }
    assert len(found) > 25
    assert found <= set(layers.__all__)
    assert found == {name for name, _ in EVERY}


def test_shapes(rng):
    np.testing.assert_array_equal(layers.Resizing(5, 4)(np.ones((9, 8, 3))).shape, (5, 4, 3))
