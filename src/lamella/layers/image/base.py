"""What layers for images share: one image or a batch, everything that belongs to it, and random changes."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from numbers import Real
from typing import Any

import torch
from torch import nn

from lamella.engine.random import generator
from lamella.engine.symbolic import symbolic_leaves
from lamella.errors import ArgumentError, ShapeError
from lamella.layers.base import Layer
from lamella.layers.image.bounding_boxes import FORMATS
from lamella.layers.reshaping import check_data_format

Pair = tuple[float, float]
_BATCHED_KEYS = ("images", "labels", "bounding_boxes", "segmentation_masks")


class BaseImageAugmentation(Layer):
    """The base of layers that change images, and with them their labels, boxes and masks.

    The input is a tensor of images (rank 4), of one image (rank 3), or a dict of `"images"` and any of `"labels"`,
    `"bounding_boxes"` (`{"boxes": (batch, boxes, 4), "labels": (batch, boxes)}`) and `"segmentation_masks"`.
    Integer images come back as floats, unless a layer says otherwise.

    Random layers leave everything as it is at inference. A layer that is called by hand, `layer(images)`, trains
    unless told otherwise (by `training=False` or `eval()`); inside a model the model decides.

    A subclass draws random numbers in `draw` and uses them in `change_images` and the `transform_...` methods.

    Args:
        bounding_box_format: The format of the boxes, such as `"xyxy"`; only needed where there are boxes.
        data_format: `"channels_last"` (the default) or `"channels_first"`.
        **kwargs: As for every layer.
    """

    random = True
    """Whether inference leaves images alone."""
    keeps_integers = False
    """Whether integer images come back as integers."""
    interpolation = "bilinear"
    seed: int | None = None

    def __init__(self, bounding_box_format: str | None = None, data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if bounding_box_format is not None and str(bounding_box_format).lower() not in FORMATS:
            raise ArgumentError(
                f"{self._label}: `bounding_box_format` must be one of {FORMATS}; got {bounding_box_format!r}."
            )
        self.bounding_box_format: Any = bounding_box_format
        self.data_format = check_data_format(self, data_format)
        self._generators: Any = None
        self._mode_chosen = False
        self._build_at_init()

    # -- to be written by subclasses ----------------------------------------------------------------

    def draw(self, images: torch.Tensor, source: torch.Generator | None) -> Any:
        """The random numbers for one call on a batch of images, from the generator `source`."""
        return None

    def change_images(self, images: torch.Tensor, transformation: Any, interpolation: str) -> torch.Tensor:
        """A batch of floating-point images, changed."""
        raise NotImplementedError(f"{type(self).__name__} has no change_images(): write it, in torch.")

    def transform_labels(self, labels: torch.Tensor, transformation: Any, training: bool = True) -> torch.Tensor:
        """The labels that belong to the changed images."""
        return labels

    def transform_bounding_boxes(
        self, bounding_boxes: dict[str, Any], transformation: Any, training: bool = True
    ) -> dict[str, Any]:
        """The boxes where they are in the changed images."""
        return bounding_boxes

    def transform_segmentation_masks(
        self, segmentation_masks: torch.Tensor, transformation: Any, training: bool = True
    ) -> torch.Tensor:
        """The masks of the changed images."""
        return segmentation_masks

    # -- calling ------------------------------------------------------------------------------------

    def get_random_transformation(self, data: Any, training: bool = True, seed: Any = None) -> Any:
        """The random numbers for one call, to be given to the `transform_...` methods.

        Args:
            data: What the layer would be called on.
            training: At inference nothing is drawn.
            seed: An integer or a `torch.Generator` to draw from instead of the layer's own.
        """
        if not training and self.random:
            return None
        images = torch.as_tensor(data["images"] if isinstance(data, dict) else data)
        self._check_rank(images)
        if images.ndim == 3:
            images = images.unsqueeze(0)
        source = generator(seed, images.device) if isinstance(seed, int) else seed
        return self.draw(images, self._generator(images.device) if source is None else source)

    def transform_images(self, images: torch.Tensor, transformation: Any = None, training: bool = True) -> torch.Tensor:
        """The images changed by what `get_random_transformation` drew."""
        images = torch.as_tensor(images)
        kind = images.dtype
        if self.keeps_integers and not kind.is_floating_point:
            if self._leaves_alone(transformation, training):
                return images
            limits = torch.iinfo(kind)
            floats = images.to(torch.promote_types(self._float, torch.float32))  # 16 bits do not hold the limits
            changed = self.change_images(floats, transformation, self.interpolation)
            return changed.round().clamp(limits.min, limits.max).to(kind)
        images = images.to(self._float)
        if self._leaves_alone(transformation, training):
            return images
        return self.change_images(images, transformation, self.interpolation)

    def _leaves_alone(self, transformation: Any, training: bool) -> bool:
        return self.random and (not training or transformation is None)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """`call`; a call by hand trains."""
        undecided = kwargs.get("training") is None and not self.training and not self._mode_chosen
        if undecided and not symbolic_leaves((args, kwargs)) and _called_by_hand():
            kwargs["training"] = True
        return super().forward(*args, **kwargs)

    def train(self, mode: bool = True) -> BaseImageAugmentation:
        """Sets whether the layer trains, from now on also in calls by hand."""
        self._mode_chosen = True
        super().train(mode)
        return self

    def call(self, data: Any, training: bool | None = None) -> Any:
        training = bool(training)
        if isinstance(data, (list, tuple)):  # pictures of one size
            data = torch.stack(list(data))
        if not isinstance(data, dict):
            if data.is_meta:
                self._check_rank(data)
                return self._empty_like(data)
            return self._changed({"images": data}, training)["images"]
        if "images" not in data:
            raise ArgumentError(f"{self._label}: the dict that it is called on has no 'images'; got {sorted(data)}.")
        return self._changed(data, training and not data["images"].is_meta)

    def _changed(self, data: dict[str, Any], training: bool) -> dict[str, Any]:
        self._check_rank(data["images"])
        single = data["images"].ndim == 3
        batch = {key: _each(data[key], torch.as_tensor) for key in _BATCHED_KEYS if key in data}
        if single:
            batch = {key: _each(value, lambda t: t.unsqueeze(0)) for key, value in batch.items()}
        drawn = self.get_random_transformation(batch, training=training)
        changed: dict[str, Any] = {"images": self.transform_images(batch["images"], drawn, training)}
        if "bounding_boxes" in batch:
            changed["bounding_boxes"] = self.transform_bounding_boxes(
                self._checked_boxes(batch["bounding_boxes"]), drawn, training
            )
        if "labels" in batch:
            changed["labels"] = self.transform_labels(batch["labels"], drawn, training)
        if "segmentation_masks" in batch:
            changed["segmentation_masks"] = self.transform_segmentation_masks(
                batch["segmentation_masks"], drawn, training
            )
        if single:
            changed = {key: _each(value, lambda t: t.squeeze(0)) for key, value in changed.items()}
        return {**data, **changed}

    def _checked_boxes(self, boxes: Any) -> dict[str, Any]:
        if self.bounding_box_format is None:
            raise ArgumentError(
                f"{self._label} was given bounding boxes but not told their format: "
                f"pass bounding_box_format='xyxy' (or another of {FORMATS}) to it."
            )
        if not isinstance(boxes, dict) or not {"boxes", "labels"} <= set(boxes):
            raise ArgumentError(
                f"{self._label}: `bounding_boxes` must be a dict of 'boxes' and 'labels'; got {boxes!r}."
            )
        if boxes["boxes"].ndim != 3 or boxes["boxes"].shape[-1] != 4:
            raise ShapeError(
                f"{self._label}: 'boxes' must have shape (boxes, 4) for one image or (batch, boxes, 4); "
                f"got shape {tuple(boxes['boxes'].shape)} for a batch."
            )
        return {**boxes, "boxes": boxes["boxes"].to(torch.float32)}

    def _check_rank(self, images: torch.Tensor) -> None:
        if images.ndim not in (3, 4):
            raise ShapeError(
                f"{self._label} takes one image (rank 3) or a batch (rank 4); got shape {tuple(images.shape)}."
            )

    # torch loads its compiler, most of a second, to compute many operations on meta tensors.
    def _empty_like(self, images: torch.Tensor) -> torch.Tensor:
        kind = images.dtype if self.keeps_integers and not images.is_floating_point() else self._float
        return torch.empty(self._output_shape(images), dtype=kind, device="meta")

    def _output_shape(self, images: torch.Tensor) -> Sequence[int]:
        return images.shape

    def _can_be_quick(self) -> bool:
        return False

    # -- random numbers -------------------------------------------------------------------------------

    def _generator(self, device: torch.device) -> torch.Generator | None:
        if self.seed is None:
            return None
        if self._generators is None or self._generators.device != device:
            self._generators = generator(self.seed, device)
        return self._generators

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "_generators": None}  # a torch.Generator cannot be copied; it is made anew

    # -- arguments ------------------------------------------------------------------------------------

    @property
    def _label(self) -> str:
        return f"{type(self).__name__} {self.name!r}"

    def _set_seed(self, seed: Any) -> None:
        if seed is not None and (isinstance(seed, bool) or not isinstance(seed, int)):
            raise ArgumentError(f"{self._label}: `seed` must be an integer; got {seed!r}.")
        self.seed = seed

    def _range(self, name: str, value: Any, bounds: Pair, lowest: float | None = None, strict: bool = False) -> Pair:
        """(lower, upper) of a number f, from -f (at least `lowest`) to f, or of a pair of numbers.

        A pair may reach over the bounds on one side, as Keras lets it, unless `strict`.
        """
        low, high = bounds
        if _is_number(value) and low <= value <= high:
            size = abs(value)
            return max(-size, low if lowest is None else lowest), size
        if isinstance(value, (tuple, list)) and len(value) == 2 and all(map(_is_number, value)):
            first, last = sorted(value)
            if (low <= first and last <= high) if strict else (value[0] <= high and value[1] >= low):
                return first, last
        raise ArgumentError(
            f"{self._label}: `{name}` must be a number or a pair of numbers from {low} to {high}; got {value!r}."
        )

    def _checked_value_range(self, value: Any) -> Pair:
        if not isinstance(value, (tuple, list)) or len(value) != 2:
            raise ArgumentError(
                f"{self._label}: `value_range` must be the lowest and highest value of a pixel; got {value!r}."
            )
        low, high = sorted(value)
        return low, high

    def _checked_choice(self, name: str, value: Any, known: Sequence[str]) -> Any:
        if value not in known:
            raise ArgumentError(f"{self._label}: `{name}` must be one of {tuple(known)}; got {value!r}.")
        return value

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        if config.get("bounding_box_format") is None:  # as Keras has it
            config.pop("bounding_box_format", None)
        return config


def uniform(
    images: torch.Tensor, shape: Sequence[int], low: float, high: float, source: torch.Generator | None
) -> torch.Tensor:
    """Random numbers between `low` and `high` on the images' device."""
    return torch.empty(tuple(shape), dtype=torch.float32, device=images.device).uniform_(low, high, generator=source)


def chosen(images: torch.Tensor, share: Pair, source: torch.Generator | None) -> torch.Tensor:
    """A boolean for each image: true with a probability that is itself drawn from `share`."""
    probability = uniform(images, images.shape[:1], *share, source)
    return uniform(images, images.shape[:1], 0.0, 1.0, source) < probability


def per_image(values: torch.Tensor) -> torch.Tensor:
    """One number for each image, as (batch, 1, 1, 1)."""
    return values.reshape(-1, 1, 1, 1)


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)


def _each(value: Any, function: Any) -> Any:
    return {k: _each(v, function) for k, v in value.items()} if isinstance(value, dict) else function(value)


def _called_by_hand() -> bool:
    """Whether the module whose `forward` asks was called from outside of every other module."""
    frame, calls = sys._getframe(2), 0
    while frame is not None and calls < 2:
        calls += frame.f_code is _MODULE_CALL
        frame = frame.f_back  # type: ignore[assignment]
    return calls < 2


_MODULE_CALL = nn.Module._call_impl.__code__
