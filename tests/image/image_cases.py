"""What the tests of image layers share: every layer with arguments, and the way from Keras's random numbers to ours."""

import copy

import numpy as np
import torch

from lamella import layers

FORMATS = ("channels_last", "channels_first")

RANDOM = [
    ("RandomFlip", {}),
    ("RandomFlip", {"mode": "horizontal"}),
    ("RandomFlip", {"mode": "vertical"}),
    ("RandomRotation", {"factor": 0.3}),
    ("RandomRotation", {"factor": (0.1, 0.2), "fill_mode": "constant", "fill_value": 9.0}),
    ("RandomRotation", {"factor": (0.3, 0.3), "interpolation": "nearest", "fill_mode": "nearest"}),
    ("RandomTranslation", {"height_factor": 0.3, "width_factor": (-0.2, 0.4)}),
    ("RandomTranslation", {"height_factor": (0.31, 0.31), "width_factor": 0.1, "fill_mode": "wrap"}),
    ("RandomZoom", {"height_factor": 0.4}),
    ("RandomZoom", {"height_factor": (-0.3, 0.1), "width_factor": (0.2, 0.3), "fill_mode": "constant"}),
    ("RandomShear", {"x_factor": 0.4}),
    ("RandomShear", {"x_factor": (0.1, 0.3), "y_factor": 0.2, "fill_mode": "constant", "fill_value": 3.0}),
    ("RandomPerspective", {"scale": 0.4}),
    ("RandomPerspective", {"factor": (0.5, 0.5), "scale": 0.2, "interpolation": "nearest"}),
    ("RandomBrightness", {"factor": 0.3}),
    ("RandomBrightness", {"factor": (0.3, 0.3), "value_range": (0, 1)}),
    ("RandomContrast", {"factor": 0.3}),
    ("RandomContrast", {"factor": (0.2, 0.9), "value_range": (0, 1)}),
    ("RandomHue", {"factor": 0.3}),
    ("RandomHue", {"factor": (0.9, 1.0), "value_range": (0, 1)}),
    ("RandomSaturation", {"factor": 0.3}),
    ("RandomSaturation", {"factor": (0.5, 0.8), "value_range": (0, 1)}),
    ("RandomGrayscale", {"factor": 0.5}),
    ("RandomColorDegeneration", {"factor": 0.5}),
    ("RandomColorDegeneration", {"factor": (0.3, 0.3), "value_range": (0, 1)}),
    ("RandomInvert", {"factor": 0.7}),
    ("RandomInvert", {"factor": (1.0, 1.0), "value_range": (0, 1)}),
    ("RandomPosterization", {"factor": 5}),
    ("RandomPosterization", {"factor": (3, 3), "value_range": (0, 1)}),
    ("RandomSharpness", {"factor": 0.8}),
    ("RandomSharpness", {"factor": (0.9, 0.9), "value_range": (0, 1)}),
    ("RandomGaussianBlur", {"factor": (0.6, 0.6)}),
    ("RandomGaussianBlur", {"factor": (1.0, 1.0), "kernel_size": 5, "sigma": (0.4, 0.9), "value_range": (0, 1)}),
    ("Solarization", {}),
    ("Solarization", {"addition_factor": 0.3, "threshold_factor": (0.2, 0.6), "value_range": (0, 1)}),
    ("RandomErasing", {"factor": (0.7, 0.7), "fill_value": 7}),
    ("RandomErasing", {"scale": (0.2, 0.3)}),
    ("MixUp", {}),
    ("MixUp", {"alpha": 2.0}),
    ("CutMix", {}),
    ("CutMix", {"factor": (0.4, 0.6)}),
]

COMPOSED = [
    ("RandAugment", {"num_ops": 3}),
    ("RandAugment", {"num_ops": 4, "factor": (0.3, 0.8), "value_range": (0, 1)}),
    ("AugMix", {}),
    ("AugMix", {"all_ops": False, "num_chains": 2, "alpha": 0.5, "value_range": (0, 1)}),
]

FIXED = [
    ("Resizing", {"height": 5, "width": 4}),
    ("Resizing", {"height": 12, "width": 16, "interpolation": "bicubic", "antialias": True}),
    ("Resizing", {"height": 5, "width": 9, "interpolation": "nearest", "crop_to_aspect_ratio": True}),
    ("Resizing", {"height": 8, "width": 5, "pad_to_aspect_ratio": True, "fill_value": 3.0}),
    ("CenterCrop", {"height": 6, "width": 5}),
    ("CenterCrop", {"height": 7, "width": 4}),
    ("CenterCrop", {"height": 12, "width": 5}),
    ("AutoContrast", {}),
    ("AutoContrast", {"value_range": (0, 1)}),
    ("Equalization", {}),
    ("Equalization", {"bins": 100, "value_range": (0, 1)}),
    # Keras on torch cuts the limit down to an integer, and pads with the last pixel instead of a mirror image: these
    # have an integer limit (128 * 4 / 256) and padding of one pixel.
    ("ContrastLimitedAdaptiveHistogramEqualization", {"tile_grid_size": (5, 4), "clip_limit": 128}),
    (
        "ContrastLimitedAdaptiveHistogramEqualization",
        {"tile_grid_size": (2, 3), "clip_limit": 0, "value_range": (0, 1)},
    ),
    ("MaxNumBoundingBoxes", {"max_number": 3}),
]

OTHER = [
    ("RandomCrop", {"height": 5, "width": 4}),
    ("RandomElasticTransform", {"scale": (0.5, 0.5)}),
    (
        "RandomColorJitter",
        {"brightness_factor": 0.2, "contrast_factor": 0.3, "saturation_factor": 0.4, "hue_factor": 0.1},
    ),
    ("RandomColorJitter", {}),
]

EVERY = [*RANDOM, *COMPOSED, *FIXED, *OTHER]


def pictures(rng, data_format="channels_last", top=255.0, shape=(4, 9, 8), dtype="float32", channels=3):
    """Random images (batch, height, width, channels), or with the channels first."""
    x = rng.uniform(0, top, (*shape, channels)).astype(dtype)
    return torch.tensor(x if data_format == "channels_last" else x.transpose(0, 3, 1, 2).copy())


def top_of(arguments):
    return float(arguments.get("value_range", (0, 255))[1])


def ours_from(name, drawn, size=(9, 8)):
    """Keras's random transformation in the form that our layer takes."""
    if name == "RandAugment":
        names = layers.RandAugment()._names
        keras_names = list(drawn["transforms"])
        picked = [keras_names[int(i)] for i in drawn["layer_idxes"]]
        assert set(keras_names) == set(names)
        return {"names": picked, "transforms": {n: with_size(drawn["transforms"][n], size) for n in picked}}
    if name == "RandomCrop":
        return {"top": drawn[0], "left": drawn[1], "input_size": size}
    return with_size(drawn, size)


def with_size(drawn, size):
    return {**drawn, "input_size": size} if isinstance(drawn, dict) else drawn


def fresh(drawn):
    """A copy: Keras on torch changes the numbers of affine transforms in place."""
    return copy.deepcopy(drawn)


def close(ours, theirs, tolerance=1e-3):
    ours, theirs = torch.as_tensor(ours).detach(), torch.as_tensor(np.asarray(theirs.detach()))
    assert ours.dtype == theirs.dtype, (ours.dtype, theirs.dtype)
    np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=tolerance, atol=tolerance)
