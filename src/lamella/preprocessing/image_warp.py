"""One picture, looked at through an affine map: where each of its new pixels comes from, and what is there."""

from __future__ import annotations

import numpy as np
import torch

from lamella.errors import ArgumentError

FILL_MODES = ("nearest", "constant", "reflect", "wrap")
_OTHER_FILL_MODES = ("mirror", "grid-constant", "grid-mirror", "grid-wrap")  # scipy has them, too


def check_filling(fill_mode: str, interpolation_order: int) -> None:
    """Raises ArgumentError for a fill mode or an order that there is not."""
    if fill_mode not in FILL_MODES + _OTHER_FILL_MODES:
        raise ArgumentError(f"`fill_mode` must be one of {', '.join(FILL_MODES)}; got {fill_mode!r}.")
    if interpolation_order not in range(6):
        raise ArgumentError(
            f"The order of interpolation must be a whole number from 0 (the nearest pixel) and 1 (linear) to 5; got "
            f"{interpolation_order!r}."
        )


def affine_matrix(
    theta: float, tx: float, ty: float, shear: float, zx: float, zy: float, height: int, width: int
) -> np.ndarray:
    """The matrix (3, 3) of a rotation of a shift of a shear of a zoom, about the middle of a picture.

    Args:
        theta: The rotation in degrees.
        tx: The shift along the first axis, in pixels.
        ty: The shift along the second one.
        shear: The shear in degrees.
        zx: The zoom along the first axis; 2 makes things half as large.
        zy: The zoom along the second one.
        height: The length of the first axis.
        width: The length of the second one.

    Example:
        >>> affine_matrix(0, 1, 2, 0, 1, 1, 8, 8).tolist()
        [[1.0, 0.0, 1.0], [0.0, 1.0, 2.0], [0.0, 0.0, 1.0]]
    """
    turn, slant = np.deg2rad(theta), np.deg2rad(shear)
    rotated = np.array([[np.cos(turn), -np.sin(turn), 0], [np.sin(turn), np.cos(turn), 0], [0, 0, 1]])
    sheared = np.array([[1, -np.sin(slant), 0], [0, np.cos(slant), 0], [0, 0, 1]])
    zoomed = np.diag([float(zx), float(zy), 1.0])
    middle = (height / 2 - 0.5, width / 2 - 0.5)
    matrix: np.ndarray = (
        _moved(*middle) @ (rotated @ _moved(tx, ty) @ sheared @ zoomed) @ _moved(-middle[0], -middle[1])
    )
    return matrix


def _moved(down: float, right: float) -> np.ndarray:
    return np.array([[1, 0, down], [0, 1, right], [0, 0, 1]], dtype="float64")


def warped(planes: np.ndarray, matrix: np.ndarray, fill_mode: str, cval: float, order: int) -> np.ndarray:
    """The picture whose pixel p is what `planes` has at `matrix` times p.

    Args:
        planes: The channels (channels, rows, columns).
        matrix: (3, 3), of which the last row is not used.
        fill_mode: What is beyond the edges, see `FILL_MODES`.
        cval: What is there with `"constant"`.
        order: 0 for the nearest pixel, 1 for linear interpolation, up to 5 for splines.
    """
    if order == 1 and fill_mode in FILL_MODES and planes.dtype.kind == "f":
        return _linear(planes.astype("float64"), matrix, fill_mode, cval).astype(planes.dtype)
    from scipy.ndimage import affine_transform  # loaded only where it is used

    # scipy has no half precision
    source = planes.astype("float32") if planes.dtype == np.float16 else planes
    linear, offset = matrix[:2, :2], matrix[:2, 2]
    result = [affine_transform(plane, linear, offset, order=order, mode=fill_mode, cval=cval) for plane in source]
    return np.stack(result).astype(planes.dtype, copy=False)


def _linear(planes: np.ndarray, matrix: np.ndarray, fill_mode: str, cval: float) -> np.ndarray:
    """All channels at once, by torch: what scipy gives with order 1, in a sixth of its time.

    In double precision, as there: an even surface stays even, and white does not become whiter.
    """
    lengths = planes.shape[1:]
    places = []
    for per_row, per_column, start in matrix[:2]:
        rows, columns = (np.arange(length) for length in lengths)
        places.append((start + rows * per_row)[:, None] + columns * per_column)
    outside = None
    if fill_mode == "constant":
        beyond = [(place < 0) | (place > length - 1) for place, length in zip(places, lengths, strict=True)]
        outside = beyond[0] | beyond[1]
    elif fill_mode != "nearest":
        fold = _reflected if fill_mode == "reflect" else _wrapped
        places = [fold(place, length) for place, length in zip(places, lengths, strict=True)]
    grid = np.empty((1, *lengths, 2))  # from -1 to 1, columns first
    for axis, (place, length) in enumerate(zip(places, lengths, strict=True)):
        grid[0, ..., 1 - axis] = place * (2 / max(length - 1, 1)) - 1
    sampled = torch.nn.functional.grid_sample(
        torch.from_numpy(planes)[None],
        torch.from_numpy(grid),
        padding_mode="border",
        align_corners=True,
    )
    result: np.ndarray = sampled[0].numpy()
    if outside is not None:
        np.copyto(result, cval, where=outside)
    return result


def _reflected(place: np.ndarray, length: int) -> np.ndarray:
    """Folds places beyond the edges back: d c b a | a b c d | d c b a."""
    place = np.mod(place + 0.5, 2 * length)
    folded: np.ndarray = np.minimum(place, 2 * length - place) - 0.5
    return folded


def _wrapped(place: np.ndarray, length: int) -> np.ndarray:
    """Goes on at the other edge, as scipy does: the last pixel and the first are one."""
    period = length - 1
    if period < 1:
        return np.zeros_like(place)
    turns = np.where(place < 0, -np.floor(-place / period) - 1, np.where(place > period, np.floor(place / period), 0))
    folded: np.ndarray = place - period * turns
    return folded
