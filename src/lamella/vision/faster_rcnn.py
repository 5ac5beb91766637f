"""`FasterRCNN`: a network proposes where objects are, a second one looks at each place and says what they are."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F

from lamella.errors import ArgumentError
from lamella.initializers import RandomNormal
from lamella.layers import Dense, Input, Layer
from lamella.models import Model
from lamella.saving import deserialize_keras_object, register_keras_serializable, serialize_keras_object
from lamella.vision.anchors import anchors_of_map
from lamella.vision.backbones import resnet18, resnet50, small_backbone
from lamella.vision.boxes import clip, decode, encode
from lamella.vision.detector import Detector
from lamella.vision.feature_pyramid import feature_pyramid, levels_of, pyramid_roi_align
from lamella.vision.matching import IGNORED, POSITIVE, match, sample
from lamella.vision.region_proposals import propose, region_proposal_head

BACKBONES: dict[str, Callable[[tuple[int, int]], Model]] = {
    "resnet50": resnet50,
    "resnet18": resnet18,
    "small": small_backbone,
}

PAPERS = {
    "fpn_channels": 256,
    "head_units": 1024,
    "anchor_scale": 8.0,
    "canonical_size": 224.0,
    "proposals_before": (2000, 1000),
    "proposals_after": (1000, 1000),
    "roi_samples": 512,
}
SMALL = {
    "fpn_channels": 96,
    "head_units": 256,
    "anchor_scale": 4.0,
    "canonical_size": 112.0,
    "proposals_before": (300, 200),
    "proposals_after": (200, 100),
    "roi_samples": 64,
}
"""What `FasterRCNN` takes where an argument is None: the papers' numbers, and those for the small backbone."""


@register_keras_serializable(package="lamella")
class FasterRCNN(Detector):
    """Faster R-CNN on a feature pyramid: the detector in two steps, for objects of any scale.

    A backbone and a feature pyramid give maps of several scales. On them the region proposal network scores anchors
    and moves them; the best are the proposals. RoIAlign cuts the part of a map under each proposal out, and the head
    says its class and moves it once more, for each class apart.

    Args:
        classes: The names of the classes, or how many there are.
        backbone: `"resnet50"`, `"resnet18"`, `"small"` (for pictures of a few hundred pixels and training from scratch
            on a few processor cores), or a functional model from pictures (batch, height, width, 3), of values from 0
            to 255, to a list of maps, from fine to coarse, each half as large as the one before.
        backbone_weights: For `"resnet50"`: `"imagenet"`, or the path of a file of its weights.
        image_size: The (height, width) of the pictures that the network sees.
        anchor_sizes: The sides of the square anchors in pixels, for each map of the pyramid; an entry may be several
            sizes. One entry more than the backbone has maps makes a coarser map for proposals. By default 8 (of the
            small backbone 4) strides, with one coarser map.
        anchor_ratios: Height over width of anchors.
        fpn_channels: Channels of the pyramid.
        head_units: Width of the two hidden layers of the head.
        pool_size: Rows and columns of the part of a map that the head sees.
        canonical_size: The side of a proposal, in pixels, that is cut from the map of stride 16.
        rpn_positive_iou: An anchor that overlaps an object by so much, or more than all others do, is positive.
        rpn_negative_iou: An anchor that overlaps no object by so much is negative.
        rpn_samples: Anchors of a picture that a step learns from.
        rpn_positive_fraction: The largest share of positive ones among them.
        proposals_before: Proposals of each map before the suppression of those that overlap, in training and in
            prediction.
        proposals_after: Proposals of a picture after it, in training and in prediction.
        proposal_iou: Of two proposals that overlap by more, only the surer stays.
        roi_positive_iou: A proposal that overlaps an object by so much has its class, others are background.
        roi_samples: Proposals of a picture that the head learns from in a step.
        roi_positive_fraction: The largest share of positive ones among them.
        box_weights: What the head's offsets (x, y, width, height) are multiplied by.
        bounding_box_format: The format of targets and predictions, as in `lamella.utils.bounding_boxes`.
        score_threshold: What is less sure is no detection.
        iou_threshold: Of two boxes of one class that overlap by more, only the surer stays.
        max_detections: How many boxes a picture may have.
        **kwargs: As for every model.

    The default None stands for the papers' value, or a smaller one with the small backbone: see `PAPERS` and `SMALL`.
    The proposal network also learns from anchors that reach beyond the picture, as Lin et al. do.

    Raises:
        ArgumentError: Arguments out of range, or a backbone whose maps do not fit.

    Source: Ren et al., 2015; the pyramid, Lin et al., 2017; RoIAlign, He et al., 2017.

    Example:
        >>> import numpy as np
        >>> from lamella.vision import FasterRCNN
        >>> model = FasterRCNN(["cat", "dog"], backbone="small", image_size=(64, 64))
        >>> found = model.predict(np.zeros((1, 48, 96, 3), "uint8"))
        >>> found["boxes"].shape, found["classes"].shape
        ((1, 100, 4), (1, 100))
    """

    head: BoxHead
    _anchors: torch.Tensor
    _per_map: tuple[int, ...]

    def __init__(
        self,
        classes: int | Sequence[str],
        backbone: str | Model = "resnet50",
        backbone_weights: str | None = None,
        image_size: tuple[int, int] = (640, 640),
        anchor_sizes: Sequence[float | Sequence[float]] | None = None,
        anchor_ratios: Sequence[float] = (0.5, 1.0, 2.0),
        fpn_channels: int | None = None,
        head_units: int | None = None,
        pool_size: int = 7,
        canonical_size: float | None = None,
        rpn_positive_iou: float = 0.7,
        rpn_negative_iou: float = 0.3,
        rpn_samples: int = 256,
        rpn_positive_fraction: float = 0.5,
        proposals_before: tuple[int, int] | None = None,
        proposals_after: tuple[int, int] | None = None,
        proposal_iou: float = 0.7,
        roi_positive_iou: float = 0.5,
        roi_samples: int | None = None,
        roi_positive_fraction: float = 0.25,
        box_weights: Sequence[float] = (10.0, 10.0, 5.0, 5.0),
        bounding_box_format: str = "xyxy",
        score_threshold: float = 0.05,
        iou_threshold: float = 0.5,
        max_detections: int = 100,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            classes, image_size, bounding_box_format, score_threshold, iou_threshold, max_detections, **kwargs
        )
        usual: dict[str, Any] = SMALL if backbone == "small" else PAPERS
        self.backbone_name = backbone if isinstance(backbone, str) else None
        self.anchor_ratios = tuple(anchor_ratios)
        self.fpn_channels = fpn_channels or usual["fpn_channels"]
        self.head_units = head_units or usual["head_units"]
        self.pool_size = pool_size
        self.canonical_size = canonical_size or usual["canonical_size"]
        self.rpn_positive_iou = rpn_positive_iou
        self.rpn_negative_iou = rpn_negative_iou
        self.rpn_samples = rpn_samples
        self.rpn_positive_fraction = rpn_positive_fraction
        self.proposals_before = tuple(proposals_before or usual["proposals_before"])
        self.proposals_after = tuple(proposals_after or usual["proposals_after"])
        self.proposal_iou = proposal_iou
        self.roi_positive_iou = roi_positive_iou
        self.roi_samples = roi_samples or usual["roi_samples"]
        self.roi_positive_fraction = roi_positive_fraction
        self.box_weights = tuple(box_weights)
        self._check()

        body = self._body(backbone, backbone_weights)
        self.strides = tuple(_stride(self.image_size, output.shape) for output in body.outputs)
        if anchor_sizes is None:
            anchor_sizes = [usual["anchor_scale"] * stride for stride in (*self.strides, 2 * self.strides[-1])]
        self.anchor_sizes = tuple(tuple(s) if isinstance(s, (list, tuple)) else (s,) for s in anchor_sizes)
        if any(later != 2 * sooner for sooner, later in zip(self.strides, self.strides[1:], strict=False)):
            raise ArgumentError(
                f"FasterRCNN: the maps of a backbone come from fine to coarse, each half as large as the one before; "
                f"those of {body.name!r} have the strides {self.strides}."
            )
        if len(self.anchor_sizes) < len(self.strides) or len({len(sizes) for sizes in self.anchor_sizes}) > 1:
            raise ArgumentError(
                f"FasterRCNN: `anchor_sizes` needs an entry for each of the {len(self.strides)} maps (and one for each "
                f"coarser map that is to be made), all of as many sizes; got {self.anchor_sizes}."
            )

        images = Input((*self.image_size, 3), name="images")
        extra = len(self.anchor_sizes) - len(self.strides)
        maps = feature_pyramid(_listed(body(images)), self.fpn_channels, extra)
        scores, offsets = region_proposal_head(maps, len(self.anchor_ratios) * len(self.anchor_sizes[0]))
        outputs = {"maps": maps[: len(self.strides)], "scores": scores, "offsets": offsets}
        self.network = Model(images, outputs, name="network")
        self.head = BoxHead(self.num_classes, self.head_units, name="head")
        self.head.build((None, None, self.pool_size**2 * self.fpn_channels))

        anchors = [
            anchors_of_map(tuple(x.shape[1:3]), self.strides[0] * 2**level, sizes, self.anchor_ratios)
            for level, (x, sizes) in enumerate(zip(maps, self.anchor_sizes, strict=True))
        ]
        self._per_map = tuple(map(len, anchors))
        self.register_buffer("_anchors", torch.cat(anchors), persistent=False)
        self.build((None, *self.image_size, 3))

    def _body(self, backbone: str | Model, weights: str | None) -> Model:
        if isinstance(backbone, str) and backbone not in BACKBONES:
            raise ArgumentError(
                f"FasterRCNN: `backbone` must be one of {', '.join(map(repr, BACKBONES))}, or a functional model with "
                f"a list of maps; got {backbone!r}."
            )
        if weights is not None and backbone != "resnet50":
            raise ArgumentError("FasterRCNN: `backbone_weights` are for the backbone 'resnet50'.")
        if isinstance(backbone, str):
            return resnet50(self.image_size, weights) if weights else BACKBONES[backbone](self.image_size)
        return backbone

    @property
    def backbone(self) -> Model:
        """The model from pictures to maps."""
        return next(layer for layer in self.network.layers if isinstance(layer, Model))

    def build(self, input_shape: Any = None) -> None:
        """Nothing: the weights exist from the start."""

    def call(self, images: Any) -> dict[str, Any]:  # type: ignore[override]
        return self.network(images)

    def detection_loss(self, outputs: Any, boxes: torch.Tensor, classes: torch.Tensor) -> dict[str, torch.Tensor]:
        # One more row without an object: a picture without any needs something for its boxes to point at.
        boxes, classes = F.pad(boxes, (0, 0, 0, 1)), F.pad(classes, (0, 1), value=-1)
        return self._proposal_losses(outputs, boxes, classes) | self._head_losses(outputs, boxes, classes)

    def candidates(self, outputs: Any) -> tuple[torch.Tensor, torch.Tensor]:
        proposals, there = self._proposals(outputs, training=False)
        logits, offsets = self._looked_at(outputs["maps"], proposals)
        boxes = clip(decode(offsets, proposals.unsqueeze(2), self.box_weights), self.image_size)
        return boxes, logits.softmax(-1)[..., :-1] * there.unsqueeze(-1)

    # -- the two steps --------------------------------------------------------------------------------------

    def _proposals(self, outputs: Any, training: bool) -> tuple[torch.Tensor, torch.Tensor]:
        which = 0 if training else 1
        return propose(
            outputs["scores"],
            outputs["offsets"],
            self._anchors,
            self._per_map,
            self.image_size,
            self.proposals_before[which],
            self.proposals_after[which],
            self.proposal_iou,
        )

    def _looked_at(self, maps: Sequence[torch.Tensor], proposals: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """What the head says of proposals (batch, n, 4): (batch, n, classes + 1) and (batch, n, classes, 4)."""
        levels = levels_of(proposals, self.strides, self.canonical_size)
        return self.head(pyramid_roi_align(maps, self.strides, proposals, levels, self.pool_size).flatten(2))

    # -- the losses -----------------------------------------------------------------------------------------

    def _proposal_losses(self, outputs: Any, boxes: torch.Tensor, classes: torch.Tensor) -> dict[str, torch.Tensor]:
        anchors = self._anchors
        labels, owners = match(
            anchors.unsqueeze(0), boxes, classes, self.rpn_positive_iou, self.rpn_negative_iou, best_of_each=True
        )
        places, kinds = sample(labels, self.rpn_samples, self.rpn_positive_fraction)
        objects = _taken(boxes, owners.gather(1, places))
        scores = F.binary_cross_entropy_with_logits(
            outputs["scores"].gather(1, places), (kinds == POSITIVE).to(outputs["scores"].dtype), reduction="none"
        )
        moved = F.smooth_l1_loss(
            _taken(outputs["offsets"], places), encode(objects, anchors[places]), reduction="none", beta=1 / 9
        )
        return {
            "proposal_class_loss": _mean_over(kinds, scores * (kinds >= 0)),
            "proposal_box_loss": _mean_over(kinds, moved.sum(-1) * (kinds == POSITIVE)),
        }

    def _head_losses(self, outputs: Any, boxes: torch.Tensor, classes: torch.Tensor) -> dict[str, torch.Tensor]:
        proposals, there = self._proposals(outputs, training=True)
        proposals = torch.cat([proposals, boxes], 1)  # the objects themselves, so that there always is a positive one
        there = torch.cat([there, classes >= 0], 1)
        labels, owners = match(proposals, boxes, classes, self.roi_positive_iou, self.roi_positive_iou)
        places, kinds = sample(labels.masked_fill(~there, IGNORED), self.roi_samples, self.roi_positive_fraction)
        proposals, owners = _taken(proposals, places), owners.gather(1, places)
        logits, offsets = self._looked_at(outputs["maps"], proposals)

        kind = classes.gather(1, owners).clamp(min=0)
        own = offsets.gather(2, kind[..., None, None].expand(-1, -1, 1, 4)).squeeze(2)
        wanted = torch.where(kinds == POSITIVE, kind, self.num_classes)  # the last class is the background
        scores = F.cross_entropy(logits.transpose(1, 2), wanted, reduction="none")
        moved = F.smooth_l1_loss(own, encode(_taken(boxes, owners), proposals, self.box_weights), reduction="none")
        return {
            "class_loss": _mean_over(kinds, scores * (kinds >= 0)),
            "box_loss": _mean_over(kinds, moved.sum(-1) * (kinds == POSITIVE)),
        }

    # -- checks and configuration -----------------------------------------------------------------------------

    def _check(self) -> None:
        for name in ("rpn_samples", "roi_samples", "fpn_channels", "head_units", "pool_size"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ArgumentError(f"FasterRCNN: `{name}` must be a whole number above 0; got {value!r}.")
        for name in ("rpn_positive_iou", "rpn_negative_iou", "proposal_iou", "roi_positive_iou"):
            if not 0 <= getattr(self, name) <= 1:
                raise ArgumentError(f"FasterRCNN: `{name}` must be from 0 to 1; got {getattr(self, name)!r}.")
        for name in ("rpn_positive_fraction", "roi_positive_fraction"):
            if not 0 < getattr(self, name) <= 1:
                raise ArgumentError(f"FasterRCNN: `{name}` must be above 0, up to 1; got {getattr(self, name)!r}.")
        if not self.anchor_ratios or min(self.anchor_ratios) <= 0:
            raise ArgumentError(f"FasterRCNN: `anchor_ratios` must be above 0; got {self.anchor_ratios}.")
        if self.rpn_negative_iou > self.rpn_positive_iou:
            raise ArgumentError(
                f"FasterRCNN: `rpn_negative_iou` ({self.rpn_negative_iou}) must not be above `rpn_positive_iou` "
                f"({self.rpn_positive_iou})."
            )
        for name in ("proposals_before", "proposals_after"):
            value = getattr(self, name)
            if len(value) != 2 or min(value) < 1:
                raise ArgumentError(
                    f"FasterRCNN: `{name}` must be two numbers above 0, for training and for prediction; got {value}."
                )

    def get_config(self) -> dict[str, Any]:
        own = {name: getattr(self, name) for name in _CONFIG}
        backbone = self.backbone_name or serialize_keras_object(self.backbone)
        return {**super().get_config(), "backbone": backbone, **own}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> FasterRCNN:
        if isinstance(config["backbone"], dict):
            config = {**config, "backbone": deserialize_keras_object(config["backbone"], custom_objects)}
        return cls(**config)


_CONFIG = (
    "anchor_sizes",
    "anchor_ratios",
    "fpn_channels",
    "head_units",
    "pool_size",
    "canonical_size",
    "rpn_positive_iou",
    "rpn_negative_iou",
    "rpn_samples",
    "rpn_positive_fraction",
    "proposals_before",
    "proposals_after",
    "proposal_iou",
    "roi_positive_iou",
    "roi_samples",
    "roi_positive_fraction",
    "box_weights",
)


class BoxHead(Layer):
    """What the part of a map under each proposal shows: a score for each class, and an offset of the box for each.

    Args:
        num_classes: How many classes, without the background.
        units: Width of the two hidden layers.
        **kwargs: As for every layer.

    Shapes: (batch, n, features) -> (batch, n, num_classes + 1), logits, the background last; and
    (batch, n, num_classes, 4).
    """

    def __init__(self, num_classes: int, units: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.num_classes = num_classes
        self.units = units
        self.first = Dense(units, activation="relu", name="first")
        self.second = Dense(units, activation="relu", name="second")
        self.scores = Dense(num_classes + 1, kernel_initializer=RandomNormal(stddev=0.01), name="scores")
        self.offsets = Dense(4 * num_classes, kernel_initializer=RandomNormal(stddev=0.001), name="offsets")

    def build(self, input_shape: Any) -> None:
        self.first.build(input_shape)
        for layer in (self.second, self.scores, self.offsets):
            layer.build((*input_shape[:-1], self.units))

    def call(self, inputs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        hidden = self.second(self.first(inputs))
        return self.scores(hidden), self.offsets(hidden).unflatten(-1, (self.num_classes, 4))


def _stride(image_size: tuple[int, int], map_shape: Sequence[int | None]) -> int:
    """Pixels of the picture from one place of a map to the next: the power of two that is nearest."""
    if len(map_shape) != 4 or None in map_shape[1:]:
        raise ArgumentError(
            f"FasterRCNN: a map of the backbone must be (batch, height, width, channels), all known but the batch; got "
            f"{tuple(map_shape)}. Make the backbone with Input(({image_size[0]}, {image_size[1]}, 3))."
        )
    return 2 ** round(math.log2(max(image_size) / max(map_shape[1:3])))  # type: ignore[type-var, operator]


def _listed(maps: Any) -> list[Any]:
    return list(maps) if isinstance(maps, (list, tuple)) else [maps]


def _taken(rows: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
    """Of `rows` (batch, n, 4) those at `places` (batch, k)."""
    return rows.gather(1, places.unsqueeze(-1).expand(-1, -1, rows.shape[-1]))


def _mean_over(kinds: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    """The sum of `values`, divided by how many boxes were chosen to learn from."""
    return values.sum() / (kinds >= 0).sum().clamp(min=1)
