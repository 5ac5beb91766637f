"""Boxes with labels on a Pillow image, in colours that everyone can tell apart."""

from __future__ import annotations

import os
from typing import Any

from lamella.utils.image import pillow

Colour = tuple[int, int, int]

PALETTE: tuple[Colour, ...] = (
    (0, 114, 178),
    (230, 159, 0),
    (0, 158, 115),
    (213, 94, 0),
    (204, 121, 167),
    (86, 180, 233),
    (240, 228, 66),
    (0, 0, 0),
)
"""Colours that people with any kind of colour blindness can tell apart. Source: Okabe and Ito, 2008."""


def colour_of(which: int) -> Colour:
    """The colour of a class; they start again after the eighth."""
    return PALETTE[which % len(PALETTE)]


def ink_on(colour: Colour) -> Colour:
    """Black or white, whichever is easier to read on a colour (by its luminance)."""
    red, green, blue = colour
    return (0, 0, 0) if 0.299 * red + 0.587 * green + 0.114 * blue > 140 else (255, 255, 255)


def font_of(size: float, path: str | os.PathLike[str] | None = None) -> Any:
    """A font by the file it is in (TrueType or OpenType), or Pillow's own, which has Latin letters only."""
    pillow()
    from PIL import ImageFont

    size = max(6, round(size))
    return ImageFont.load_default(size) if path is None else ImageFont.truetype(os.fspath(path), size)


def draw_box(image: Any, box: Any, colour: Colour, width: int) -> None:
    """A frame of `width` pixels around a box (left, top, right, bottom), on a Pillow image.

    The frame's middle lies on the box's edge. Corners in the wrong order are turned round.
    """
    pillow()
    from PIL import ImageDraw

    x1, x2 = sorted((float(box[0]), float(box[2])))
    y1, y2 = sorted((float(box[1]), float(box[3])))
    out = width // 2
    corners = (round(x1) - out, round(y1) - out, round(x2) + out, round(y2) + out)
    ImageDraw.Draw(image).rectangle(corners, outline=colour, width=width)


def draw_label(image: Any, corner: tuple[float, float], text: str, colour: Colour, font: Any) -> None:
    """Text on a ground of `colour`: above the point `corner` (x, y), or below it for want of room; inside the image."""
    pillow()
    from PIL import ImageDraw

    draw = ImageDraw.Draw(image)
    left, top, right, bottom = draw.textbbox((0, 0), text, font=font)
    pad = max(2, round((bottom - top) / 5))
    width, height = right - left + 2 * pad, bottom - top + 2 * pad
    x = min(max(round(corner[0]), 0), max(image.width - width, 0))
    y = round(corner[1]) - height
    if y < 0:
        y = min(max(round(corner[1]), 0), max(image.height - height, 0))
    draw.rectangle((x, y, x + width - 1, y + height - 1), fill=colour)
    draw.text((x + pad - left, y + pad - top), text, font=font, fill=ink_on(colour))
