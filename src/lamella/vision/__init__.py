"""Seeing: segmentation and detection, data and pictures for them, and what measures them."""

from typing import Any

from lamella.vision.augmentation import Augmentation
from lamella.vision.calm_end import CalmEnd
from lamella.vision.detection_data import DetectionDataset
from lamella.vision.drawing import draw_detections, draw_mask
from lamella.vision.faster_rcnn import FasterRCNN
from lamella.vision.features import extract_features
from lamella.vision.mean_average_precision import MeanAveragePrecision
from lamella.vision.segmentation_data import SegmentationDataset
from lamella.vision.segmentation_loss import DiceCrossEntropy
from lamella.vision.tiles import predict_tiled
from lamella.vision.unet import UNet
from lamella.vision.yolo import YOLO

__all__ = [
    "YOLO",
    "Augmentation",
    "CalmEnd",
    "DetectionDataset",
    "DiceCrossEntropy",
    "FasterRCNN",
    "FeatureExtractor",
    "MeanAveragePrecision",
    "SegmentationDataset",
    "UNet",
    "draw_detections",
    "draw_mask",
    "extract_features",
    "predict_tiled",
]


def __getattr__(name: str) -> Any:
    """What needs scikit-learn, which is slow to import, is loaded at first use."""
    if name == "FeatureExtractor":
        from lamella.vision.feature_extractor import FeatureExtractor

        return FeatureExtractor
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
