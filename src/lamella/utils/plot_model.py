"""`plot_model`: a drawing of a model, without Graphviz."""

from __future__ import annotations

import os
import sys
from html import escape
from pathlib import Path
from typing import Any

from lamella.errors import ArgumentError
from lamella.utils.graph_layout import LINE, MARGIN, Box, Options, boxes_of, lines_between, place
from lamella.utils.image import pillow

_FONT = 12  # points
_PIXELS = (".png", ".jpg", ".jpeg", ".gif", ".bmp", ".webp", ".pdf")


class Dot:
    """A model as a graph in Graphviz's language, DOT.

    Args:
        boxes: The layers.
        rankdir: `"TB"` (top to bottom) or `"LR"` (left to right).
        dpi: Dots per inch.
    """

    def __init__(self, boxes: list[Box], rankdir: str, dpi: int) -> None:
        self.boxes = boxes
        self.rankdir = rankdir
        self.dpi = dpi

    def to_string(self) -> str:
        """The text in DOT."""
        numbers = {id(box): i for i, box in enumerate(self.boxes)}
        lines = ["digraph G {", f"rankdir={self.rankdir};", f"dpi={self.dpi};", "node [shape=box];"]
        lines += [f"{i} [label={_quoted(chr(10).join(box.lines))}];" for i, box in enumerate(self.boxes)]
        lines += [f"{numbers[id(s)]} -> {i};" for i, box in enumerate(self.boxes) for s in box.sources]
        return "\n".join([*lines, "}"]) + "\n"

    def get_nodes(self) -> list[str]:
        """The names of the layers."""
        return [box.name for box in self.boxes]

    def get_edges(self) -> list[tuple[str, str]]:
        """Pairs of names: from, to."""
        return [(source.name, box.name) for box in self.boxes for source in box.sources]

    def write(self, path: str | os.PathLike[str]) -> None:
        """Writes the text to a file."""
        Path(path).write_text(self.to_string(), encoding="utf-8")


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


def model_to_dot(
    model: Any,
    show_shapes: bool = False,
    show_dtype: bool = False,
    show_layer_names: bool = True,
    rankdir: str = "TB",
    expand_nested: bool = False,
    dpi: int = 200,
    subgraph: bool = False,
    show_layer_activations: bool = False,
    show_trainable: bool = False,
    splines: str = "ortho",
    **kwargs: Any,
) -> Dot:
    """A model as a graph in DOT, for Graphviz or another drawing program.

    Args:
        model: A functional or sequential model, built.
        show_shapes: Whether the shapes of inputs and outputs are shown.
        show_dtype: Whether data types are shown.
        show_layer_names: Whether names are shown.
        rankdir: `"TB"` (top to bottom) or `"LR"` (left to right).
        expand_nested: Whether the layers of nested models are shown.
        dpi: Dots per inch.
        subgraph: Kept for Keras's signature.
        show_layer_activations: Whether activations are shown.
        show_trainable: Whether it is shown which layers are trained.
        splines: Kept for Keras's signature.
        **kwargs: Nothing more.

    Example:
        >>> import lamella
        >>> model = lamella.Sequential([lamella.Input((2,)), lamella.layers.Dense(3, name="d")])
        >>> "(Dense)" in model_to_dot(model).to_string()
        True
    """
    if kwargs:
        raise ArgumentError(f"model_to_dot() has no argument {', '.join(map(repr, kwargs))}.")
    if rankdir not in ("TB", "LR"):
        raise ArgumentError(f"`rankdir` must be 'TB' (top to bottom) or 'LR' (left to right); got {rankdir!r}.")
    options = Options(show_shapes, show_dtype, show_layer_names, show_layer_activations, show_trainable, expand_nested)
    return Dot(boxes_of(model, options), rankdir, dpi)


def plot_model(
    model: Any,
    to_file: str | os.PathLike[str] = "model.png",
    show_shapes: bool = False,
    show_dtype: bool = False,
    show_layer_names: bool = False,
    rankdir: str = "TB",
    expand_nested: bool = False,
    dpi: int = 200,
    show_layer_activations: bool = False,
    show_trainable: bool = False,
    splines: str = "ortho",
    **kwargs: Any,
) -> Any:
    """Draws a model into a file, and shows it in a notebook.

    Args:
        model: A functional or sequential model, built.
        to_file: The file: `.svg`, `.dot`, or (by Pillow) `.png`, `.jpg`, `.gif`, `.bmp`, `.webp`, `.pdf`.
        show_shapes: Whether the shapes of inputs and outputs are shown.
        show_dtype: Whether data types are shown.
        show_layer_names: Whether names are shown.
        rankdir: `"TB"` (top to bottom) or `"LR"` (left to right).
        expand_nested: Whether the layers of nested models are shown.
        dpi: Dots per inch of the pixels.
        show_layer_activations: Whether activations are shown.
        show_trainable: Whether it is shown which layers are trained.
        splines: Kept for Keras's signature.
        **kwargs: Nothing more.

    Raises:
        NotBuiltError: A model without a graph.
        ArgumentError: Another kind of file.

    Example:
        >>> import lamella, pathlib, tempfile
        >>> model = lamella.Sequential([lamella.Input((2,)), lamella.layers.Dense(3)])
        >>> file = pathlib.Path(tempfile.mkdtemp(), "model.svg")
        >>> plot_model(model, file, show_shapes=True)
        >>> "output: (None, 3)" in file.read_text(encoding="utf-8")
        True
    """
    path = Path(to_file)
    kind = path.suffix.lower()
    if kind not in (".svg", ".dot", *_PIXELS):
        raise ArgumentError(f"plot_model: `to_file` must end in .svg, .dot or {', '.join(_PIXELS)}; got {path.name!r}.")
    dot = model_to_dot(
        model,
        show_shapes,
        show_dtype,
        show_layer_names,
        rankdir,
        expand_nested,
        dpi,
        show_layer_activations=show_layer_activations,
        show_trainable=show_trainable,
        **kwargs,
    )
    if kind == ".dot":
        dot.write(path)
        return None
    if kind == ".svg":
        path.write_text(_svg(dot), encoding="utf-8")
    else:
        _pixels(dot).save(path)
    return _shown(path, kind) if "ipykernel" in sys.modules else None


def _svg(dot: Dot) -> str:
    across = dot.rankdir == "LR"
    width, height = place(dot.boxes, across)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
        f'viewBox="0 0 {width:.0f} {height:.0f}" font-family="monospace" font-size="{_FONT}">',
        '<defs><marker id="arrow" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="8" markerHeight="8" '
        'orient="auto"><path d="M0,0 L8,4 L0,8 z"/></marker></defs>',
        '<rect width="100%" height="100%" fill="white"/>',
    ]
    for x1, y1, x2, y2 in lines_between(dot.boxes, across):
        parts.append(
            f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="black" marker-end="url(#arrow)"/>'
        )
    for box in dot.boxes:
        parts.append(
            f'<rect x="{box.x:.1f}" y="{box.y:.1f}" width="{box.width:.1f}" height="{box.height:.1f}" rx="4" '
            f'fill="#f4f6fb" stroke="black"/>'
        )
        for i, line in enumerate(box.lines):
            x, y = box.x + box.width / 2, box.y + MARGIN / 2 + LINE * (i + 0.7)
            weight = ' font-weight="bold"' if i == 0 else ""
            parts.append(f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="middle"{weight}>{escape(line)}</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"


def _pixels(dot: Dot) -> Any:
    image_module = pillow()
    from PIL import ImageDraw, ImageFont

    across, scale = dot.rankdir == "LR", dot.dpi / 72
    width, height = place(dot.boxes, across)
    image = image_module.new("RGB", (max(1, round(width * scale)), max(1, round(height * scale))), "white")
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(_FONT * scale)
    stroke = max(1, round(scale))
    for x1, y1, x2, y2 in lines_between(dot.boxes, across):
        draw.line([value * scale for value in (x1, y1, x2, y2)], "black", stroke)
        back = (x2 - 6, y2 - 3, x2 - 6, y2 + 3) if across else (x2 - 3, y2 - 6, x2 + 3, y2 - 6)
        draw.polygon([value * scale for value in (x2, y2, *back)], "black")
    for box in dot.boxes:
        corners = [v * scale for v in (box.x, box.y, box.x + box.width, box.y + box.height)]
        draw.rounded_rectangle(corners, 4 * scale, "#f4f6fb", "black", stroke)
        for i, line in enumerate(box.lines):
            at = ((box.x + box.width / 2) * scale, (box.y + MARGIN / 2 + LINE * (i + 0.5)) * scale)
            draw.text(at, line, "black", font, anchor="mm")
    return image


def _shown(path: Path, kind: str) -> Any:
    from IPython import display

    return display.SVG(filename=str(path)) if kind == ".svg" else display.Image(filename=str(path))
