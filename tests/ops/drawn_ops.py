"""Arguments of ops drawn by chance: shapes, types, axes, edges. A case is `(args, kwargs)`; arrays become tensors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

Case = tuple[tuple[Any, ...], dict[str, Any]]
FLOATS, WHOLE = ["float32", "float32", "float16"], ["int32", "int32", "uint8", "int8"]


class Draw:
    """Draws arguments; one seed, one case."""

    def __init__(self, *seed: int) -> None:
        self.rng = np.random.default_rng(seed)

    def one_of(self, *options: Any) -> Any:
        return options[int(self.rng.integers(len(options)))]

    def maybe(self, share: float = 0.5) -> bool:
        return bool(self.rng.random() < share)

    def shape(self, low: int = 0, high: int = 4, empty: float = 0.03) -> tuple[int, ...]:
        sizes = self.rng.integers(1, 5, int(self.rng.integers(low, high + 1)))
        return tuple(0 if self.maybe(empty) else int(size) for size in sizes)

    def array(self, shape: tuple[int, ...], kinds: str = "ffwb", low: float = -3, high: float = 3, edges: float = 0.1):
        """Numbers of a type among floats (f), whole numbers (w) and truth values (b); some are NaN, infinite or 0."""
        kind = self.one_of(*kinds)
        if kind == "b":
            return self.rng.integers(0, 2, shape).astype(bool)
        if kind == "w":
            name = self.one_of(*WHOLE)
            return self.rng.integers(max(low, 0) if name == "uint8" else low, high + 1, shape).astype(name)
        x = np.asarray(self.rng.uniform(low, high, shape), self.one_of(*FLOATS))
        if x.size and self.maybe(edges):
            x.reshape(-1)[self.rng.integers(0, x.size, 2)] = self.one_of(np.nan, np.inf, -np.inf, 0.0, -0.0, 1e4)
        return x

    def axis(self, rank: int, several: bool = True, none: bool = True) -> Any:
        axes = [int(axis) - rank * self.maybe() for axis in self.rng.permutation(rank)]
        chosen = [None] if none else []
        if rank:
            chosen.append(axes[0])
            chosen += [tuple(axes[: int(self.rng.integers(1, rank + 1))])] if several else []
        return self.one_of(*chosen) if chosen else None

    def pair(self, kinds: str = "ffwb", **kwargs: Any) -> tuple[Any, Any]:
        """Two arrays that can be broadcast."""
        shape = self.shape(1, 3)
        thin = tuple(1 if self.maybe(0.3) else size for size in shape)[int(self.rng.integers(len(shape))) :]
        shapes = [shape, thin] if self.maybe() else [thin, shape]
        return self.array(shapes[0], kinds, **kwargs), self.array(shapes[1], kinds, **kwargs)


DRAWN: dict[str, Callable[[Draw], Case]] = {}


def drawn(names: str) -> Callable[[Callable[[Draw], Case]], Callable[[Draw], Case]]:
    """Decorator: how the arguments of these ops are drawn."""

    def known(function: Callable[[Draw], Case]) -> Callable[[Draw], Case]:
        DRAWN.update(dict.fromkeys(names.split(), function))
        return function

    return known


@drawn(
    "abs negative sign square ceil floor trunc round sin cos tan sinh cosh tanh arctan arcsinh deg2rad rad2deg exp exp2"
    " expm1 cbrt isnan isinf isfinite logical_not copy ravel zeros_like ones_like log log2 log10 log1p sqrt"
    " reciprocal arcsin arccos arctanh arccosh nan_to_num"
)
def of_one(draw: Draw) -> Case:
    return (draw.array(draw.shape()),), {}


@drawn(
    "relu relu6 silu hard_silu sigmoid log_sigmoid hard_sigmoid hard_tanh tanh_shrink softplus softsign selu gelu elu"
)
def activations(draw: Draw) -> Case:
    return (draw.array(draw.shape(), "f", -5, 5),), {}


@drawn("softmax log_softmax")
def softmaxes(draw: Draw) -> Case:
    shape = draw.shape(1, 4, 0)
    return (draw.array(shape, "f", edges=0),), {"axis": draw.axis(len(shape), none=False)}


@drawn(
    "add subtract multiply divide maximum minimum equal not_equal greater greater_equal less less_equal logical_and"
    " logical_or logical_xor arctan2 hypot isclose"
)
def of_two(draw: Draw) -> Case:
    return draw.pair(), {}


@drawn("sum mean var std prod all any median nansum nanmean nanmax nanmin nanprod nanvar")
def reductions(draw: Draw, edges: float = 0.1) -> Case:
    shape = draw.shape(1, 4, 0)
    axis = draw.axis(len(shape))  # without one, Keras on torch does not keep the dimensions
    return (draw.array(shape, edges=edges),), {"axis": axis, "keepdims": axis is not None and draw.maybe()}


@drawn("max min amax amin ptp")
def extremes(draw: Draw) -> Case:
    return reductions(draw, edges=0)  # there is no gradient where the largest is NaN


@drawn("argmax argmin")
def places(draw: Draw) -> Case:
    shape = draw.shape(1, 4, 0)
    axis = draw.axis(len(shape), several=False)
    return (draw.array(shape, edges=0),), {"axis": axis, "keepdims": draw.maybe()}


@drawn("cumsum cumprod")
def running(draw: Draw) -> Case:
    shape = draw.shape(1, 3)
    kind = {"dtype": draw.one_of("float32", "int32", "float16")} if draw.maybe(0.3) else {}
    return (draw.array(shape, edges=0),), {"axis": draw.axis(len(shape), several=False), **kind}


@drawn("quantile percentile")
def quantiles(draw: Draw) -> Case:
    shape, share = draw.shape(1, 3, 0), draw.one_of(0.3, 0, 1, 0.5)
    method = draw.one_of("linear", "lower", "higher", "midpoint", "nearest")
    kwargs = {"axis": draw.axis(len(shape)), "method": method, "keepdims": draw.maybe()}
    return (draw.array(shape, "fw", edges=0), share), kwargs


@drawn("sort")
def orders(draw: Draw) -> Case:
    shape = draw.shape(1, 3)
    return (draw.array(shape, edges=0),), {"axis": draw.axis(len(shape), several=False, none=False)}


@drawn("transpose")
def transposed(draw: Draw) -> Case:
    shape = draw.shape()
    return (draw.array(shape),), {"axes": tuple(int(axis) for axis in draw.rng.permutation(len(shape)))}


@drawn("moveaxis swapaxes")
def moved(draw: Draw) -> Case:
    shape = draw.shape(1)
    return (draw.array(shape), *(draw.axis(len(shape), several=False, none=False) for _ in range(2))), {}


@drawn("expand_dims")
def expanded(draw: Draw) -> Case:
    shape = draw.shape(0, 3)
    axis = int(draw.rng.integers(-len(shape) - 1, len(shape) + 1))
    return (draw.array(shape), draw.one_of(axis, (0, -1), (0, 1))), {}


@drawn("flip")
def flipped(draw: Draw) -> Case:
    shape = draw.shape(1, 3)
    return (draw.array(shape),), {"axis": draw.axis(len(shape))}


@drawn("roll")
def rolled(draw: Draw) -> Case:
    shape = draw.shape(1, 3)
    return (draw.array(shape), int(draw.rng.integers(-5, 6))), {"axis": draw.axis(len(shape), several=False)}


@drawn("repeat")
def repeated(draw: Draw) -> Case:
    shape = draw.shape(1, 3)
    axis = draw.axis(len(shape), several=False)
    size = int(np.prod(shape)) if axis is None else shape[axis]
    times = draw.one_of(0, 2, draw.rng.integers(0, 3, size).astype("int32"))
    return (draw.array(shape), times), {"axis": axis}


@drawn("tile")
def tiled(draw: Draw) -> Case:
    return (draw.array(draw.shape(1, 3)), draw.one_of((2,), (1, 3), (2, 1, 2))), {}


@drawn("concatenate")
def joined(draw: Draw) -> Case:
    shape = draw.shape(1, 3)
    axis = draw.axis(len(shape), several=False, none=False)
    parts = []
    for _ in range(draw.one_of(1, 2, 3)):
        own = list(shape)
        own[axis] = int(draw.rng.integers(0, 4))
        parts.append(draw.array(tuple(own)))
    return (parts,), {"axis": axis}


@drawn("stack")
def stacked(draw: Draw) -> Case:
    shape = draw.shape(0, 3)
    axis = int(draw.rng.integers(-len(shape) - 1, len(shape) + 1))
    return ([draw.array(shape) for _ in range(draw.one_of(1, 2, 3))],), {"axis": axis}


@drawn("split")
def parts(draw: Draw) -> Case:
    shape = list(draw.shape(1, 3, 0))
    axis = draw.axis(len(shape), several=False, none=False)
    shape[axis] = 6
    return (draw.array(tuple(shape)), draw.one_of(1, 2, 3, [1], (2, 4), [])), {"axis": axis}


@drawn("pad")
def padded(draw: Draw) -> Case:
    shape = draw.shape(1, 3, 0)
    mode = draw.one_of("constant", "reflect")
    most = [3 if mode == "constant" else size - 1 for size in shape]
    widths = tuple(tuple(int(n) for n in draw.rng.integers(0, size + 1, 2)) for size in most)
    constant = {"constant_values": draw.one_of(0, 2, -1)} if mode == "constant" and draw.maybe() else {}
    return (draw.array(shape, "fw"), widths), {"mode": mode, **constant}


@drawn("diagonal trace")
def diagonals(draw: Draw) -> Case:
    shape = draw.shape(2, 4)
    axes = [int(axis) for axis in draw.rng.permutation(len(shape))[:2]]
    kwargs = {"offset": int(draw.rng.integers(-2, 3)), "axis1": axes[0], "axis2": axes[1]}
    return (draw.array(shape, "fw"),), kwargs


@drawn("tril triu")
def triangles(draw: Draw) -> Case:
    return (draw.array(draw.shape(2, 4)),), {"k": int(draw.rng.integers(-3, 4))}


@drawn("matmul")
def products(draw: Draw) -> Case:
    rows, inner, columns = (int(n) for n in draw.rng.integers(1, 4, 3))
    batch = draw.shape(0, 2)
    shapes = draw.one_of(
        ((inner,), (inner,)),
        ((rows, inner), (inner,)),
        ((inner,), (inner, columns)),
        ((*batch, rows, inner), (*batch, inner, columns)),
        ((*batch, rows, inner), (inner, columns)),
    )
    return tuple(draw.array(shape, edges=0) for shape in shapes), {}


@drawn("tensordot")
def contractions(draw: Draw) -> Case:
    axes = draw.one_of(2, ((1, 2), (0, 1)), ((2, 1), (1, 0)), ((-1,), (1,)), 0)
    return tuple(draw.array(shape, draw.one_of("f", "w"), edges=0) for shape in ((2, 3, 4), (3, 4, 5))), {"axes": axes}


@drawn("take")
def taken(draw: Draw) -> Case:
    shape = draw.shape(1, 3, 0)
    axis = draw.axis(len(shape), several=False)
    size = int(np.prod(shape)) if axis is None else shape[axis]
    return (draw.array(shape), draw.rng.integers(0, size, draw.shape(0, 2, 0)).astype("int32")), {"axis": axis}


@drawn("where")
def chosen(draw: Draw) -> Case:
    one, other = draw.pair()
    return (draw.array(draw.one_of(one.shape, other.shape, ()), "b"), one, other), {}


@drawn("slice")
def sliced(draw: Draw) -> Case:
    shape = draw.shape(1, 3, 0)
    start = tuple(int(draw.rng.integers(0, size)) for size in shape)
    sizes = tuple(int(draw.rng.integers(0, size - first + 1)) for size, first in zip(shape, start, strict=True))
    return (draw.array(shape), start, sizes), {}


@drawn("scatter_update")
def scattered(draw: Draw) -> Case:
    shape = draw.shape(1, 3, 0)
    depth = int(draw.rng.integers(1, len(shape) + 1))
    places = np.stack([draw.rng.integers(0, size, 4) for size in shape[:depth]], -1).astype("int32")
    reduction = draw.one_of(None, "add", "max", "min", "mul")
    places = np.unique(places, axis=0) if reduction is None else places
    x = draw.array(shape, "fw", edges=0)
    values = draw.rng.integers(0, 3, (len(places), *shape[depth:])).astype(x.dtype)
    return (x, places, values), {"reduction": reduction}


@drawn("segment_sum segment_max segment_min segment_prod")
def segments(draw: Draw) -> Case:
    count = draw.one_of(1, 5)
    ids = np.sort(draw.rng.integers(0, 3, count)).astype("int32")
    x = draw.array((count, *draw.shape(0, 2, 0)), "f", edges=0)
    return (x, ids), {"num_segments": draw.one_of(3, 6), "sorted": draw.maybe()}


@drawn("one_hot")
def one_hot(draw: Draw) -> Case:
    shape = draw.shape(0, 3)
    axis = int(draw.rng.integers(-1, len(shape) + 1))
    kind = draw.one_of("int32", "bool", "float16", "float32")
    return (draw.rng.integers(-1, 4, shape).astype("int32"), draw.one_of(1, 3, 5)), {"axis": axis, "dtype": kind}


@drawn("clip")
def clipped(draw: Draw) -> Case:
    return (draw.array(draw.shape(1)), *draw.one_of((-1, 1), (0.0, 1.5), (-1, 2.5))), {}


@drawn("diff")
def differences(draw: Draw) -> Case:
    shape = draw.shape(1, 3)
    axis = draw.axis(len(shape), several=False, none=False)
    return (draw.array(shape, "fw"),), {"n": draw.one_of(0, 1, 2), "axis": axis}


@drawn("max_pool average_pool")
def pooled(draw: Draw) -> Case:
    rank, last = draw.one_of(1, 2, 3), draw.maybe()
    sizes = tuple(int(n) for n in draw.rng.integers(3, 7, rank))
    x = draw.rng.normal(size=(2, *sizes, 2) if last else (2, 2, *sizes)).astype("float32")
    kwargs = {"data_format": "channels_last" if last else "channels_first", "strides": draw.one_of(None, 1, 2, 3)}
    return (x, draw.one_of(1, 2, 3)), kwargs


@drawn("conv conv_transpose")
def convolved(draw: Draw) -> Case:
    rank, last = draw.one_of(1, 2, 3), draw.maybe()
    sizes = tuple(int(n) for n in draw.rng.integers(4, 8, rank))
    x = draw.rng.normal(size=(2, *sizes, 3) if last else (2, 3, *sizes)).astype("float32")
    kernel = draw.rng.normal(size=(*(int(n) for n in draw.rng.integers(1, 4, rank)), 3, 3)).astype("float32")
    further = draw.one_of({}, {"strides": draw.one_of(1, 2)}, {"dilation_rate": 2})
    formats = {"data_format": "channels_last" if last else "channels_first"}
    return (x, kernel), {"padding": draw.one_of("valid", "same"), **formats, **further}
