"""`predict_tiled`: pictures that are larger than what a network can take at once."""

from __future__ import annotations

from typing import Any

import numpy as np

from lamella.errors import ArgumentError, ShapeError


def predict_tiled(
    model: Any, image: Any, tile: int | tuple[int, int] = 256, overlap: int = 32, batch_size: int = 4
) -> np.ndarray:
    """Predicts a picture tile by tile, and fades each tile into its neighbours so that no seam shows.

    A pixel near the border of a tile is predicted from half of its surroundings only; where tiles overlap, each
    counts the less the nearer its border is.

    Args:
        model: From (batch, height, width, channels) to (batch, height, width, classes), as `UNet` gives.
        image: (height, width, channels).
        tile: The (height, width) of a tile in pixels, or one number for both. Smaller pictures are one tile.
        overlap: The least number of pixels that neighbours share.
        batch_size: Tiles predicted at once.

    Returns:
        (height, width, classes), float32.

    Raises:
        ShapeError: The picture has no three axes, or the model gives maps of another size.
        ArgumentError: An overlap that is no smaller than a tile.

    Example:
        >>> from lamella.vision.unet import UNet
        >>> model = UNet(depth=1, filters=2)
        >>> predict_tiled(model, np.zeros((100, 70, 3)), tile=48, overlap=8).shape
        (100, 70, 1)
    """
    image = np.asarray(image)
    if image.ndim != 3:
        raise ShapeError(f"predict_tiled: a picture has shape (height, width, channels); got {image.shape}.")
    wanted = (tile, tile) if isinstance(tile, int) else tile
    if not 0 <= overlap < min(wanted):
        raise ArgumentError(f"predict_tiled: `overlap` must be 0 or more and below the tile, {wanted}; got {overlap}.")
    height, width = (min(own, side) for own, side in zip(wanted, image.shape, strict=False))
    corners = [
        (top, left)
        for top in _starts(image.shape[0], height, overlap)
        for left in _starts(image.shape[1], width, overlap)
    ]
    fade = _fade(height, overlap)[:, None, None] * _fade(width, overlap)[None, :, None]
    total: Any = 0.0
    weights = np.zeros((*image.shape[:2], 1), np.float32)
    for first in range(0, len(corners), batch_size):
        batch = corners[first : first + batch_size]
        tiles = np.stack([image[top : top + height, left : left + width] for top, left in batch])
        maps = model.predict(tiles, batch_size=batch_size, verbose=0)
        if maps.shape[1:3] != (height, width):
            raise ShapeError(
                f"predict_tiled: the model must give a map as large as its picture, {(height, width)}; got "
                f"{maps.shape[1:3]}."
            )
        if first == 0:
            total = np.zeros((*image.shape[:2], maps.shape[-1]), np.float32)
        for (top, left), each in zip(batch, maps, strict=True):
            total[top : top + height, left : left + width] += each * fade
            weights[top : top + height, left : left + width] += fade
    return total / weights


def _starts(side: int, tile: int, overlap: int) -> list[int]:
    """Where tiles begin: as few as cover the side with the overlap, evenly spread."""
    count = 1 if side <= tile else -(-(side - overlap) // (tile - overlap))
    return np.linspace(0, side - tile, count).round().astype(int).tolist()


def _fade(tile: int, overlap: int) -> np.ndarray:
    """1 inside, falling to nearly 0 at both ends over the overlap."""
    from_end = np.minimum(np.arange(tile), np.arange(tile)[::-1]) + 1
    return np.minimum(from_end / (overlap + 1), 1).astype(np.float32)
