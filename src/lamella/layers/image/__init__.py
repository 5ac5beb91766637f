"""Layers that resize, crop and augment images, with their labels, boxes and masks."""

from lamella.layers.image.aug_mix import AugMix
from lamella.layers.image.base import BaseImageAugmentation
from lamella.layers.image.cut_mix import CutMix
from lamella.layers.image.equalization import AutoContrast, ContrastLimitedAdaptiveHistogramEqualization, Equalization
from lamella.layers.image.max_num_bounding_boxes import MaxNumBoundingBoxes
from lamella.layers.image.mix_up import MixUp
from lamella.layers.image.rand_augment import RandAugment
from lamella.layers.image.random_color import (
    RandomBrightness,
    RandomColorDegeneration,
    RandomColorJitter,
    RandomContrast,
    RandomGrayscale,
    RandomHue,
    RandomSaturation,
)
from lamella.layers.image.random_crop import RandomCrop
from lamella.layers.image.random_elastic_transform import RandomElasticTransform
from lamella.layers.image.random_erasing import RandomErasing
from lamella.layers.image.random_flip import RandomFlip
from lamella.layers.image.random_geometry import (
    RandomPerspective,
    RandomRotation,
    RandomShear,
    RandomTranslation,
    RandomZoom,
)
from lamella.layers.image.random_tone import (
    RandomGaussianBlur,
    RandomInvert,
    RandomPosterization,
    RandomSharpness,
    Solarization,
)
from lamella.layers.image.resizing import CenterCrop, Resizing

__all__ = [
    "AugMix",
    "AutoContrast",
    "BaseImageAugmentation",
    "CenterCrop",
    "ContrastLimitedAdaptiveHistogramEqualization",
    "CutMix",
    "Equalization",
    "MaxNumBoundingBoxes",
    "MixUp",
    "RandAugment",
    "RandomBrightness",
    "RandomColorDegeneration",
    "RandomColorJitter",
    "RandomContrast",
    "RandomCrop",
    "RandomElasticTransform",
    "RandomErasing",
    "RandomFlip",
    "RandomGaussianBlur",
    "RandomGrayscale",
    "RandomHue",
    "RandomInvert",
    "RandomPerspective",
    "RandomPosterization",
    "RandomRotation",
    "RandomSaturation",
    "RandomSharpness",
    "RandomShear",
    "RandomTranslation",
    "RandomZoom",
    "Resizing",
    "Solarization",
]
