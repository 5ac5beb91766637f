"""Convolutions of many channels by windows of 3 x 3 in 4/9 of the multiplications: F(2x2, 3x3).

The outputs are cut into tiles of 2 x 2. A tile sees a patch of 4 x 4 inputs, and is

    Y = A^T [ (G g G^T) * (B^T d B) ] A

for a kernel g and a patch d of one channel: 16 multiplications, where the window slid over the patch takes 36. Over
many channels and tiles they are 16 products of matrices, (tiles, in) with (in, out); what the three transforms add
grows with the channels only, not with their square. Gradients take the same way backwards, in the same 16 products.

Sums and halves are all that the transforms are made of, so the result is as accurate as float32 is: against float64 the
relative error of the result is 0.3e-6 to 0.7e-6 (of torch's convolution 0.4e-6 to 1.1e-6), of gradients up to 1e-6.

Source: Winograd, Arithmetic complexity of computations, 1980; Lavin and Gray, Fast algorithms for convolutional neural
networks, 2016. (The sign of the fourth row of B^T and of A^T is the other one here: that saves two negations.)
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F

from lamella.engine.eager import are_plain
from lamella.engine.kernels import products_are_accurate

_WIDE = 85
"""Channels (in * out / (in + out)) from which on the products saved outweigh the transforms."""

_WORK = 2**14
"""Such channels times tiles from which on the transforms of the kernel do not weigh either."""

_PATCHES = 2**22
"""Numbers; the patches of so many samples are transformed at a time (16 MiB), so that they do not leave the cache."""


def pays(maps: torch.Tensor, kernel: torch.Tensor) -> bool:
    """Whether a training step is quicker when it takes `convolution`; a rule of shapes, so that runs can be repeated.

    Args:
        maps: (batch, in, height, width).
        kernel: (out, in, 3, 3).
    """
    outward, inward = kernel.shape[:2]
    across = inward * outward / (inward + outward)
    if across < _WIDE or not kernel.requires_grad or not torch.is_grad_enabled() or not are_plain(maps, kernel):
        return False
    if not all(tensor.is_contiguous(memory_format=torch.channels_last) for tensor in (maps, kernel)):
        return False
    if not products_are_accurate():  # the transforms would make more of what is rounded
        return False
    samples, _, height, width = maps.shape
    tiles = samples * _half(height) * _half(width)
    if across * tiles < _WORK:
        return False
    computed = 4 * tiles / (samples * height * width)  # more than 1 where tiles reach over an edge
    return across >= _WIDE * computed**3


def convolution(maps: torch.Tensor, kernel: torch.Tensor, bias: torch.Tensor | None = None) -> torch.Tensor:
    """`torch.nn.functional.conv2d` with a window of 3 x 3, steps of 1 and one zero around the picture.

    Args:
        maps: (batch, in, height, width).
        kernel: (out, in, 3, 3).
        bias: (out,).

    Returns:
        (batch, out, height, width), channels_last.
    """
    result: torch.Tensor = _Convolution.apply(maps, kernel, bias)
    return result


class _Convolution(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, maps: torch.Tensor, kernel: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
        x = maps.permute(0, 2, 3, 1)
        samples, height, width, inward = x.shape
        outward = len(kernel)
        kernels = _kernels(kernel.permute(0, 2, 3, 1))
        ctx.save_for_backward(maps, kernel, kernels)
        covered = (samples, outward, 2 * _half(height), 2 * _half(width))
        y = torch.empty(covered, dtype=x.dtype, device=x.device, memory_format=torch.channels_last)
        for part in _parts(x):
            patches = _patches(x[part])
            products = torch.bmm(patches.view(16, -1, inward), kernels.transpose(1, 2))
            if bias is not None:
                products[5] += bias  # this one adds to all four outputs of a tile
            _outputs(products.view(*patches.shape[:-1], outward), y[part].permute(0, 2, 3, 1))
        if y.shape[2:] == maps.shape[2:]:
            return y
        return y[:, :, :height, :width].contiguous(memory_format=torch.channels_last)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:  # type: ignore[override]
        maps, kernel, kernels = ctx.saved_tensors
        if torch.is_grad_enabled():  # gradients of gradients are asked for
            return _differentiable_gradients(ctx, gradient, maps, kernel)
        x, dy = maps.permute(0, 2, 3, 1), gradient.permute(0, 2, 3, 1)
        samples, height, width, inward = x.shape
        d_kernels: torch.Tensor | None = None
        d_bias = x.new_zeros(len(kernel)) if ctx.needs_input_grad[2] else None
        dx = x.new_empty(samples, 2 * _half(height), 2 * _half(width), inward) if ctx.needs_input_grad[0] else None
        for part in _parts(x):
            d_tiles = _gradient_of_outputs(dy[part])
            d_products = d_tiles.view(16, -1, len(kernel))
            if d_bias is not None:
                d_bias += d_products[5].sum(0)
            if ctx.needs_input_grad[1]:
                patches = _patches(x[part]).view(16, -1, inward)
                d_kernels = _add_products(d_kernels, d_products.transpose(1, 2), patches)
            if dx is not None:
                d_patches = torch.bmm(d_products, kernels)
                _gradient_of_patches(d_patches.view(*d_tiles.shape[:-1], inward), dx[part])
        return (
            None if dx is None else dx[:, :height, :width].permute(0, 3, 1, 2),
            None if d_kernels is None else _gradient_of_kernels(d_kernels).permute(0, 3, 1, 2),
            d_bias,
        )


def _add_products(total: torch.Tensor | None, left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    return torch.bmm(left, right) if total is None else total.baddbmm_(left, right)


def _differentiable_gradients(
    ctx: Any, gradient: torch.Tensor, maps: torch.Tensor, kernel: torch.Tensor
) -> tuple[torch.Tensor | None, ...]:
    slid = ([1, 1], [1, 1], [1, 1], False, [0, 0], 1)  # steps, zeros around, distances of taps, ..., groups
    wanted = list(ctx.needs_input_grad)
    return tuple(torch.ops.aten.convolution_backward(gradient, maps, kernel, [len(kernel)], *slid, wanted))


def _half(size: int) -> int:
    """How many tiles of two cover the size."""
    return (size + 1) // 2


def _parts(x: torch.Tensor) -> list[slice]:
    """The batch in parts whose patches are few enough."""
    samples, height, width, channels = x.shape
    step = max(1, _PATCHES // (16 * _half(height) * _half(width) * channels))
    return [slice(start, start + step) for start in range(0, samples, step)]


def _patches(x: torch.Tensor) -> torch.Tensor:
    """B^T d B of the patches of x (batch, height, width, channels), as (4, 4, batch, rows, columns, channels)."""
    samples, height, width, channels = x.shape
    rows, columns = _half(height), _half(width)
    x = F.pad(x, (0, 0, 1, 2 * columns + 1 - width, 1, 2 * rows + 1 - height))
    by_row = x.new_empty(4, samples, rows, 2 * columns + 2, channels)
    even, odd = x[:, 0::2], x[:, 1::2]
    _combine(even[:, :-1], odd[:, :-1], even[:, 1:], odd[:, 1:], by_row)
    patches = x.new_empty(4, 4, samples, rows, columns, channels)
    even, odd = by_row[..., 0::2, :], by_row[..., 1::2, :]
    _combine(even[..., :-1, :], odd[..., :-1, :], even[..., 1:, :], odd[..., 1:, :], patches.transpose(0, 1))
    return patches


def _combine(d0: torch.Tensor, d1: torch.Tensor, d2: torch.Tensor, d3: torch.Tensor, out: torch.Tensor) -> None:
    """B^T d, along one axis of the patch."""
    torch.sub(d0, d2, out=out[0])
    torch.add(d1, d2, out=out[1])
    torch.sub(d2, d1, out=out[2])
    torch.sub(d3, d1, out=out[3])


def _gradient_of_patches(patches: torch.Tensor, dx: torch.Tensor) -> None:
    """The transpose of `_patches`, into dx (batch, 2 * rows, 2 * columns, channels); `patches` are overwritten.

    Of the four rows that a tile sees the middle ones are its own; the first is the tile's before, the last the one's
    behind. So are columns.
    """
    _, _, samples, rows, columns, channels = patches.shape
    first, upper, lower, last = _uncombine(patches)
    upper[:, :, 1:] += last[:, :, :-1]
    lower[:, :, :-1] += first[:, :, 1:]
    places = dx.view(samples, rows, 2, columns, 2, channels).permute(2, 4, 0, 1, 3, 5)
    for own, (even, odd) in zip((upper, lower), places, strict=True):
        first, left, right, last = _uncombine(own)
        even[:, :, :1] = left[:, :, :1]
        torch.add(left[:, :, 1:], last[:, :, :-1], out=even[:, :, 1:])
        odd[:, :, -1:] = right[:, :, -1:]
        torch.add(right[:, :, :-1], first[:, :, 1:], out=odd[:, :, :-1])


def _uncombine(d: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """B d, along the first axis; d[1] is overwritten."""
    third = (d[1] + d[2]).sub_(d[0])
    return d[0], d[1].sub_(d[2]).sub_(d[3]), third, d[3]


def _outputs(products: torch.Tensor, y: torch.Tensor) -> None:
    """A^T m A of the products, into y (batch, 2 * rows, 2 * columns, channels); `products` are overwritten."""
    _, _, samples, rows, columns, channels = products.shape
    first, one, two, last = products
    first += one
    first += two
    last += one
    last -= two
    places = y.view(samples, rows, 2, columns, 2, channels).permute(2, 4, 0, 1, 3, 5)
    first, one, two, last = products[0::3].transpose(0, 1)  # of both rows of the tiles
    torch.add(first.add_(one), two, out=places[:, 0])
    torch.sub(last.add_(one), two, out=places[:, 1])


def _gradient_of_outputs(dy: torch.Tensor) -> torch.Tensor:
    """The transpose of `_outputs`, A dy A^T: (4, 4, batch, rows, columns, channels)."""
    samples, height, width, channels = dy.shape
    rows, columns = _half(height), _half(width)
    if height % 2 or width % 2:
        dy = F.pad(dy, (0, 0, 0, width % 2, 0, height % 2))
    by_row = dy.new_empty(4, samples, rows, 2 * columns, channels)
    _spread(dy[:, 0::2], dy[:, 1::2], by_row)
    products = dy.new_empty(4, 4, samples, rows, columns, channels)
    _spread(by_row[..., 0::2, :], by_row[..., 1::2, :], products.transpose(0, 1))
    return products


def _spread(first: torch.Tensor, second: torch.Tensor, out: torch.Tensor) -> None:
    """A y, along one axis of the tile."""
    out[0] = first
    torch.add(first, second, out=out[1])
    torch.sub(first, second, out=out[2])
    out[3] = second


def _kernels(kernel: torch.Tensor) -> torch.Tensor:
    """G g G^T of a kernel (out, 3, 3, in): (16, out, in)."""
    outward, _, _, inward = kernel.shape
    by_row = kernel.new_empty(4, outward, 3, inward)
    _interpolate(kernel.unbind(1), by_row)
    kernels = kernel.new_empty(4, 4, outward, inward)
    _interpolate(by_row.unbind(2), kernels.transpose(0, 1))
    return kernels.view(16, outward, inward)


def _interpolate(taps: tuple[torch.Tensor, ...], out: torch.Tensor) -> None:
    """G g, along one axis of the window."""
    outer = torch.add(taps[0], taps[2]).mul_(0.5)
    out[0] = taps[0]
    torch.add(outer, taps[1], alpha=0.5, out=out[1])
    torch.sub(outer, taps[1], alpha=0.5, out=out[2])
    out[3] = taps[2]


def _gradient_of_kernels(kernels: torch.Tensor) -> torch.Tensor:
    """The transpose of `_kernels`: (out, 3, 3, in)."""
    _, outward, inward = kernels.shape
    by_row = kernels.new_empty(3, 4, outward, inward)
    _collect(kernels.view(4, 4, outward, inward), by_row)
    kernel = kernels.new_empty(outward, 3, 3, inward)
    _collect(by_row.transpose(0, 1), kernel.permute(2, 1, 0, 3))
    return kernel


def _collect(values: torch.Tensor, out: torch.Tensor) -> None:
    """G^T u, along one axis."""
    both = torch.add(values[1], values[2]).mul_(0.5)
    torch.add(values[0], both, out=out[0])
    torch.sub(values[1], values[2], out=out[1])
    out[1] *= 0.5
    torch.add(values[3], both, out=out[2])
