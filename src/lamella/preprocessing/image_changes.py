"""Changes of one picture: turned, moved, sheared, zoomed, brighter, of other colours; by so much, or at random.

The random ones draw from NumPy's global generator, so `np.random.seed` decides them.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from lamella.backend import image_data_format
from lamella.engine.dtypes import floatx
from lamella.errors import ArgumentError, ShapeError
from lamella.preprocessing.image_ranges import pair
from lamella.preprocessing.image_warp import affine_matrix, check_filling, warped


def apply_affine_transform(
    x: Any,
    theta: float = 0,
    tx: float = 0,
    ty: float = 0,
    shear: float = 0,
    zx: float = 1,
    zy: float = 1,
    row_axis: int = 1,
    col_axis: int = 2,
    channel_axis: int = 0,
    fill_mode: str = "nearest",
    cval: float = 0.0,
    order: int = 1,
) -> np.ndarray:
    """Turns, moves, shears and zooms a picture.

    Args:
        x: The picture, with three axes.
        theta: The angle to turn it by, in degrees.
        tx: Pixels to move it by, along the axis of columns where that comes after the axis of rows (as in Keras).
        ty: Pixels to move it by, along the other one.
        shear: The angle to shear it by, in degrees.
        zx: The zoom along the axis of `tx`: above 1, things get smaller.
        zy: The zoom along the other one.
        row_axis: The axis of rows.
        col_axis: The axis of columns.
        channel_axis: The axis of channels: 0 or 2.
        fill_mode: What is beyond the edges: `"nearest"`, `"constant"`, `"reflect"` or `"wrap"`.
        cval: What is there with `"constant"`.
        order: 0 for the nearest pixel, 1 for linear interpolation, up to 5 for splines.

    Returns:
        The changed picture; `x` itself where there is nothing to change.

    Raises:
        ShapeError: Not three axes.
        ArgumentError: Axes, a fill mode or an order that there are not.

    Example:
        >>> picture = np.arange(3.0).reshape(1, 1, 3)
        >>> apply_affine_transform(picture, tx=1).tolist()
        [[[1.0, 2.0, 2.0]]]
    """
    x = np.asarray(x)
    axes = (row_axis, col_axis, channel_axis)
    if sorted(axes) != [0, 1, 2] or channel_axis == 1:
        raise ArgumentError(
            f"`row_axis`, `col_axis` and `channel_axis` must be 0, 1 and 2 in some order, with the channels first or "
            f"last; got {row_axis}, {col_axis} and {channel_axis}."
        )
    _check_picture(x)
    check_filling(fill_mode, order)
    if theta == tx == ty == shear == 0 and zx == zy == 1:
        return x
    matrix = affine_matrix(theta, tx, ty, shear, zx, zy, x.shape[row_axis], x.shape[col_axis])
    if col_axis > row_axis:  # the matrix speaks of x before y, the picture's axes are y before x
        matrix = matrix[[1, 0, 2]][:, [1, 0, 2]]
    planes = warped(np.moveaxis(x, channel_axis, 0), matrix, fill_mode, cval, order)
    return np.moveaxis(planes, 0, channel_axis)


def _check_picture(x: np.ndarray) -> None:
    if x.ndim != 3:
        raise ShapeError(f"A picture has three axes (rows, columns, channels); got shape {x.shape}.")


def apply_channel_shift(x: Any, intensity: float, channel_axis: int = 0) -> np.ndarray:
    """Adds a number to all values, and cuts off what leaves the range that the picture had.

    Args:
        x: The picture.
        intensity: The number.
        channel_axis: The axis of channels; it makes no difference, as all are changed alike.

    Example:
        >>> apply_channel_shift(np.array([[[1.0, 2.0, 5.0]]]), 2).tolist()
        [[[3.0, 4.0, 5.0]]]
    """
    x = np.asarray(x)
    shifted: np.ndarray = np.clip(x + intensity, x.min(), x.max())
    return shifted


def apply_brightness_shift(x: Any, brightness: float, scale: bool = True) -> np.ndarray:
    """Makes a picture darker or brighter, in the 256 steps of an image file.

    Args:
        x: The picture, of 1, 3 or 4 channels on the axis that `image_data_format()` says; the fourth, how opaque it
            is, is kept.
        brightness: What its values are multiplied by: 0 makes it black, 1 leaves it as it is.
        scale: Whether the values are first spread from 0 to 255. Values outside that range always are; without `scale`
            the range that they had is put back.

    Raises:
        ShapeError: Other axes or channels.

    Example:
        >>> apply_brightness_shift(np.array([[[10.0], [200.0]]]), 2.0, scale=False).tolist()
        [[[20.0], [255.0]]]
    """
    return brightened(x, brightness, scale, 0 if image_data_format() == "channels_first" else 2)


def brightened(x: Any, brightness: float, scale: bool, channel_axis: int) -> np.ndarray:
    """`apply_brightness_shift` for a picture with its channels on any axis."""
    x = np.asarray(x)
    _check_picture(x)
    channels = x.shape[channel_axis]
    if channels not in (1, 3, 4):
        raise ShapeError(
            f"The brightness of 1, 3 or 4 channels can be changed; the picture of shape {x.shape} has {channels} "
            f"(axis {channel_axis})."
        )
    low, high = x.min(), x.max()
    outside = bool(low < 0 or high > 255)
    values = x.astype(floatx())
    if outside or scale:
        values -= values.min()
        values /= values.max() or 1
        values *= 255
    steps = values.astype("uint8")
    brighter = np.clip(np.arange(256, dtype="float32") * np.float32(brightness), 0, 255)
    values = np.floor(brighter).astype(floatx())[steps]
    if channels == 4:
        np.moveaxis(values, channel_axis, 0)[3] = np.moveaxis(steps, channel_axis, 0)[3]
    if outside and not scale:
        values = values / 255 * (high - low) + low
    return values


def random_rotation(
    x: Any,
    rg: float,
    row_axis: int = 1,
    col_axis: int = 2,
    channel_axis: int = 0,
    fill_mode: str = "nearest",
    cval: float = 0.0,
    interpolation_order: int = 1,
) -> np.ndarray:
    """Turns a picture by a random angle.

    Args:
        x: The picture, with three axes.
        rg: The largest angle in degrees, to either side.
        row_axis: The axis of rows.
        col_axis: The axis of columns.
        channel_axis: The axis of channels.
        fill_mode: What is beyond the edges, as for `apply_affine_transform`.
        cval: What is there with `"constant"`.
        interpolation_order: As `order` for `apply_affine_transform`.

    Example:
        >>> random_rotation(np.ones((3, 8, 8)), 30).shape
        (3, 8, 8)
    """
    theta = np.random.uniform(-rg, rg)
    return apply_affine_transform(
        x,
        theta=theta,
        row_axis=row_axis,
        col_axis=col_axis,
        channel_axis=channel_axis,
        fill_mode=fill_mode,
        cval=cval,
        order=interpolation_order,
    )


def random_shift(
    x: Any,
    wrg: float,
    hrg: float,
    row_axis: int = 1,
    col_axis: int = 2,
    channel_axis: int = 0,
    fill_mode: str = "nearest",
    cval: float = 0.0,
    interpolation_order: int = 1,
) -> np.ndarray:
    """Moves a picture by a random part of its size.

    Args:
        x: The picture, with three axes.
        wrg: The largest part of the width, to either side.
        hrg: The largest part of the height, to either side.
        row_axis: The axis of rows.
        col_axis: The axis of columns.
        channel_axis: The axis of channels.
        fill_mode: What is beyond the edges, as for `apply_affine_transform`.
        cval: What is there with `"constant"`.
        interpolation_order: As `order` for `apply_affine_transform`.

    Example:
        >>> random_shift(np.ones((3, 8, 8)), 0.2, 0.2).shape
        (3, 8, 8)
    """
    x = np.asarray(x)
    tx = np.random.uniform(-hrg, hrg) * x.shape[row_axis]
    ty = np.random.uniform(-wrg, wrg) * x.shape[col_axis]
    return apply_affine_transform(
        x,
        tx=tx,
        ty=ty,
        row_axis=row_axis,
        col_axis=col_axis,
        channel_axis=channel_axis,
        fill_mode=fill_mode,
        cval=cval,
        order=interpolation_order,
    )


def random_shear(
    x: Any,
    intensity: float,
    row_axis: int = 1,
    col_axis: int = 2,
    channel_axis: int = 0,
    fill_mode: str = "nearest",
    cval: float = 0.0,
    interpolation_order: int = 1,
) -> np.ndarray:
    """Shears a picture by a random angle.

    Args:
        x: The picture, with three axes.
        intensity: The largest angle in degrees, to either side.
        row_axis: The axis of rows.
        col_axis: The axis of columns.
        channel_axis: The axis of channels.
        fill_mode: What is beyond the edges, as for `apply_affine_transform`.
        cval: What is there with `"constant"`.
        interpolation_order: As `order` for `apply_affine_transform`.

    Example:
        >>> random_shear(np.ones((3, 8, 8)), 20).shape
        (3, 8, 8)
    """
    shear = np.random.uniform(-intensity, intensity)
    return apply_affine_transform(
        x,
        shear=shear,
        row_axis=row_axis,
        col_axis=col_axis,
        channel_axis=channel_axis,
        fill_mode=fill_mode,
        cval=cval,
        order=interpolation_order,
    )


def random_zoom(
    x: Any,
    zoom_range: tuple[float, float],
    row_axis: int = 1,
    col_axis: int = 2,
    channel_axis: int = 0,
    fill_mode: str = "nearest",
    cval: float = 0.0,
    interpolation_order: int = 1,
) -> np.ndarray:
    """Zooms a picture at random, each axis by itself.

    Args:
        x: The picture, with three axes.
        zoom_range: (smallest, largest) zoom: above 1, things get smaller.
        row_axis: The axis of rows.
        col_axis: The axis of columns.
        channel_axis: The axis of channels.
        fill_mode: What is beyond the edges, as for `apply_affine_transform`.
        cval: What is there with `"constant"`.
        interpolation_order: As `order` for `apply_affine_transform`.

    Raises:
        ArgumentError: A `zoom_range` that is not a pair.

    Example:
        >>> random_zoom(np.ones((3, 8, 8)), (0.8, 1.2)).shape
        (3, 8, 8)
    """
    low, high = pair("zoom_range", zoom_range)
    zx, zy = drawn_zoom(low, high)
    return apply_affine_transform(
        x,
        zx=zx,
        zy=zy,
        row_axis=row_axis,
        col_axis=col_axis,
        channel_axis=channel_axis,
        fill_mode=fill_mode,
        cval=cval,
        order=interpolation_order,
    )


def drawn_zoom(low: float, high: float) -> tuple[float, float]:
    """A random zoom for each of two axes; nothing is drawn if both ends are 1."""
    if low == high == 1:
        return 1, 1
    zx, zy = np.random.uniform(low, high, 2)
    return zx, zy


def random_channel_shift(x: Any, intensity_range: float, channel_axis: int = 0) -> np.ndarray:
    """Adds a random number to all values, as `apply_channel_shift`.

    Args:
        x: The picture.
        intensity_range: The largest number, to either side.
        channel_axis: The axis of channels.

    Example:
        >>> random_channel_shift(np.ones((3, 8, 8)), 20.0).shape
        (3, 8, 8)
    """
    return apply_channel_shift(x, np.random.uniform(-intensity_range, intensity_range), channel_axis)


def random_brightness(x: Any, brightness_range: tuple[float, float], scale: bool = True) -> np.ndarray:
    """Makes a picture darker or brighter at random, as `apply_brightness_shift`.

    Args:
        x: The picture, as for `apply_brightness_shift`.
        brightness_range: (smallest, largest) number that its values are multiplied by.
        scale: Whether the values are first spread from 0 to 255.

    Raises:
        ArgumentError: A `brightness_range` that is not a pair.

    Example:
        >>> random_brightness(np.ones((8, 8, 3)), (0.5, 1.5)).shape
        (8, 8, 3)
    """
    low, high = pair("brightness_range", brightness_range)
    return apply_brightness_shift(x, np.random.uniform(low, high), scale)
