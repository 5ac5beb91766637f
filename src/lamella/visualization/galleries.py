"""Many pictures in one figure, by Matplotlib, under Keras's names."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from lamella.errors import ArgumentError, ShapeError
from lamella.visualization.boxes import array_of, checked_images, draw_bounding_boxes
from lamella.visualization.masks import draw_segmentation_masks


def _pyplot(function: str) -> Any:
    try:
        from matplotlib import pyplot
    except ImportError as error:
        raise ImportError(
            f"{function} needs the package Matplotlib: pip install matplotlib (or lamella[report])."
        ) from error
    return pyplot


def _in_bytes(images: np.ndarray, value_range: Sequence[float]) -> np.ndarray:
    low, high = value_range
    if not high > low:
        raise ArgumentError(f"`value_range` must be (lowest, highest); got {tuple(value_range)}.")
    return ((images.astype("float32") - low) * (255 / (high - low))).clip(0, 255).astype("uint8")


def plot_image_gallery(
    images: Any,
    y_true: Any = None,
    y_pred: Any = None,
    label_map: Mapping[int, str] | None = None,
    rows: int | None = None,
    cols: int | None = None,
    value_range: Sequence[float] = (0, 255),
    scale: float = 2,
    path: Any = None,
    show: bool | None = None,
    transparent: bool = True,
    dpi: int = 60,
    legend_handles: Sequence[Any] | None = None,
    data_format: str | None = None,
) -> None:
    """Shows pictures in rows and columns, or writes them to a file.

    Args:
        images: (batch, height, width, channels); those that do not fit `rows` x `cols` are left out.
        y_true: (batch,), their classes, written above them.
        y_pred: (batch,), the classes predicted.
        label_map: The names of classes; needed with `y_true` or `y_pred`.
        rows: Rows; about as many as columns by default.
        cols: Columns; enough for all pictures by default.
        value_range: The values of black and white.
        scale: The width of a picture in inches.
        path: Where to write the figure.
        show: Whether to show it; by default if there is no `path`.
        transparent: Whether a file's background is transparent.
        dpi: Pixels per inch of a file.
        legend_handles: Patches of Matplotlib for a legend.
        data_format: `"channels_last"` or `"channels_first"`; the global one by default.

    Raises:
        ArgumentError: `path` and `show` together, or classes without `label_map`.
        ShapeError: Pictures that are no batch, or none.
        ImportError: Matplotlib is missing.

    Example:
        >>> import os, tempfile
        >>> path = os.path.join(tempfile.mkdtemp(), "gallery.png")
        >>> plot_image_gallery(np.zeros((3, 8, 8, 3)), y_true=[0, 1, 0], label_map={0: "cat", 1: "dog"}, path=path)
        >>> os.path.exists(path)
        True
    """
    if path is not None and show:
        raise ArgumentError("plot_image_gallery: pass `path` to write a file or `show=True`, not both.")
    if (y_true is not None or y_pred is not None) and label_map is None:
        raise ArgumentError("plot_image_gallery: `y_true` and `y_pred` need `label_map`, the names of classes.")
    pictures, _ = checked_images(images, data_format)
    if not len(pictures):
        raise ShapeError("plot_image_gallery: there are no pictures.")
    pyplot = _pyplot("plot_image_gallery")
    rows = rows or math.ceil(len(pictures) / cols if cols else math.sqrt(len(pictures)))
    cols = cols or math.ceil(len(pictures) / rows)
    pictures = _in_bytes(pictures[: rows * cols], value_range)

    size = (cols * scale, rows * scale * pictures.shape[1] / pictures.shape[2])
    figure, axes = pyplot.subplots(rows, cols, figsize=size, frameon=False, layout="tight", squeeze=False)
    if legend_handles is not None:
        figure.legend(handles=legend_handles, loc="lower center")
    titles = [("Label", y_true), ("Pred", y_pred)]
    labels = [(word, array_of(values)) for word, values in titles if values is not None]
    for axis in axes.flat:
        axis.axis("off")
    for i, (axis, picture) in enumerate(zip(axes.flat, pictures, strict=False)):
        axis.imshow(picture[..., 0] if picture.shape[-1] == 1 else picture, cmap="gray", vmin=0, vmax=255)
        words = [f"{word}: {label_map.get(int(of[i]), 'Unknown')}" for word, of in labels if i < len(of)]  # type: ignore[union-attr]
        if words:
            axis.set_title("  ".join(words), fontsize=8)
    if path is not None:
        figure.savefig(path, pad_inches=0, bbox_inches="tight", transparent=transparent, dpi=dpi)
        pyplot.close(figure)
    elif show is None or show:
        pyplot.show()
        pyplot.close(figure)


def plot_bounding_box_gallery(
    images: Any,
    bounding_box_format: str,
    y_true: Mapping[str, Any] | None = None,
    y_pred: Mapping[str, Any] | None = None,
    value_range: Sequence[float] = (0, 255),
    true_color: Sequence[int] = (0, 188, 212),
    pred_color: Sequence[int] = (255, 235, 59),
    line_thickness: int = 2,
    font_scale: float = 1.0,
    text_thickness: int | None = None,
    class_mapping: Mapping[int, str] | None = None,
    ground_truth_mapping: Mapping[int, str] | None = None,
    prediction_mapping: Mapping[int, str] | None = None,
    legend: bool = False,
    legend_handles: Sequence[Any] | None = None,
    rows: int | None = None,
    cols: int | None = None,
    data_format: str | None = None,
    **kwargs: Any,
) -> None:
    """Shows pictures with the boxes that are there and those predicted.

    Args:
        images: (batch, height, width, channels).
        bounding_box_format: The format of boxes.
        y_true: The boxes that are there, as `draw_bounding_boxes` takes them.
        y_pred: The boxes predicted.
        value_range: The values of black and white.
        true_color: The colour of `y_true`.
        pred_color: The colour of `y_pred`.
        line_thickness: Pixels.
        font_scale: The size of labels.
        text_thickness: The thickness of labels.
        class_mapping: Names of classes.
        ground_truth_mapping: Names of the classes of `y_true`, if others.
        prediction_mapping: Names of the classes of `y_pred`, if others.
        legend: Whether a legend says which colour is which.
        legend_handles: Patches for another legend.
        rows: Rows.
        cols: Columns.
        data_format: `"channels_last"` or `"channels_first"`.
        **kwargs: As for `plot_image_gallery`.

    Raises:
        ArgumentError: `legend` and `legend_handles` together.
        ImportError: Matplotlib or Pillow is missing.
    """
    if legend and legend_handles:
        raise ArgumentError("plot_bounding_box_gallery: pass `legend` or `legend_handles`, not both.")
    _pyplot("plot_bounding_box_gallery")
    from matplotlib.patches import Patch

    pictures = _in_bytes(checked_images(images, data_format)[0], value_range)
    for boxes, color, mapping in (
        (y_true, true_color, ground_truth_mapping or class_mapping),
        (y_pred, pred_color, prediction_mapping or class_mapping),
    ):
        if boxes is not None:
            pictures = draw_bounding_boxes(
                pictures,
                boxes,
                bounding_box_format,
                class_mapping=mapping,
                color=color,
                line_thickness=line_thickness,
                text_thickness=text_thickness,
                font_scale=font_scale,
                data_format="channels_last",
            )
    if legend:
        pairs = ((true_color, "Ground Truth"), (pred_color, "Prediction"))
        legend_handles = [Patch(color="#{:02x}{:02x}{:02x}".format(*color), label=label) for color, label in pairs]
    plot_image_gallery(
        pictures, rows=rows, cols=cols, legend_handles=legend_handles, data_format="channels_last", **kwargs
    )


def plot_segmentation_mask_gallery(
    images: Any,
    num_classes: int,
    value_range: Sequence[float] = (0, 255),
    y_true: Any = None,
    y_pred: Any = None,
    color_mapping: Mapping[int, Sequence[int]] | None = None,
    blend: bool = True,
    alpha: float = 0.8,
    ignore_index: int = -1,
    data_format: str | None = None,
    **kwargs: Any,
) -> None:
    """Shows pictures, one a row, each beside itself with the mask that is there and the one predicted.

    Args:
        images: (batch, height, width, 3).
        num_classes: How many classes there are.
        value_range: The values of black and white.
        y_true: (batch, height, width) or (batch, height, width, 1), the class of each pixel.
        y_pred: The classes predicted.
        color_mapping: As for `draw_segmentation_masks`, as what follows up to `ignore_index`.
        blend: Whether the pictures are seen through the masks.
        alpha: How much of the masks' colour is seen.
        ignore_index: The class of pixels that stay as they are.
        data_format: `"channels_last"` or `"channels_first"`.
        **kwargs: As for `plot_image_gallery`.

    Raises:
        ImportError: Matplotlib is missing.
    """
    pictures, first = checked_images(images, data_format)
    columns = [_in_bytes(pictures, value_range)]
    for masks in (y_true, y_pred):
        if masks is not None:
            masks = array_of(masks).astype("int64")
            masks = masks.transpose(0, 2, 3, 1) if first and masks.ndim == 4 else masks
            columns.append(
                draw_segmentation_masks(
                    columns[0], masks, num_classes, color_mapping, alpha, blend, ignore_index, "channels_last"
                )
            )
    gallery = np.stack(columns, 1).reshape(-1, *columns[0].shape[1:])
    plot_image_gallery(gallery, rows=len(pictures), cols=len(columns), data_format="channels_last", **kwargs)
