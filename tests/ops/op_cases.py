"""Argument sets for every op: (name, args, kwargs). Arrays are the inputs; all else is configuration."""

import numpy as np

_rng = np.random.default_rng(3)


def floats(*shape, low=-2.0, high=2.0):
    return _rng.uniform(low, high, shape).astype("float32")


def ints(*shape, low=-5, high=6, dtype="int32"):
    return _rng.integers(low, high, shape).astype(dtype)


def bools(*shape):
    return _rng.integers(0, 2, shape).astype(bool)


def words(text):
    return text.split()


def case(name, *args, **kwargs):
    return name, args, kwargs


NAN = floats(3, 4)
NAN[0, 1] = NAN[1] = np.nan
SPECIAL = np.array([0.0, -0.0, np.nan, np.inf, -np.inf, 1.5], "float32")
COMPLEX = (floats(3, 4) + 1j * floats(3, 4)).astype("complex64")
SQUARE = floats(2, 3, 3) + 4 * np.eye(3, dtype="float32")
POSITIVE = (SQUARE @ SQUARE.transpose(0, 2, 1)).astype("float32")
F34, F34B, I34, B34 = floats(3, 4), floats(3, 4), ints(3, 4), bools(3, 4)
POS = floats(3, 4, low=0.1, high=3.0)

UNARY = [
    *words("abs absolute fabs negative sign signbit square ceil floor trunc round sin cos tan sinh cosh tanh"),
    *words("arctan arcsinh sinc deg2rad rad2deg exp exp2 expm1 cbrt erf erfc i0 isnan isinf isfinite isposinf"),
    *words("isneginf isreal logical_not copy ravel size ndim zeros_like ones_like array angle stop_gradient"),
    *words("nan_to_num real"),
]
ON_UNIT = ["arcsin", "arccos", "arctanh", "erfinv"]
ABOVE_ONE = ["arccosh"]
ABOVE_ZERO = ["log", "log2", "log10", "log1p", "sqrt", "rsqrt", "reciprocal"]
ACTIVATIONS = [
    *words("relu relu6 leaky_relu elu selu celu gelu silu swish hard_silu hard_swish sigmoid log_sigmoid"),
    *words("hard_sigmoid sparse_sigmoid hard_tanh tanh_shrink soft_shrink hard_shrink softplus squareplus"),
    *words("sparse_plus softsign glu softmax log_softmax"),
]
BINARY = [
    *words("add subtract multiply divide true_divide maximum minimum fmax fmin mod fmod floor_divide arctan2"),
    *words("hypot logaddexp logaddexp2 equal not_equal greater greater_equal less less_equal isclose"),
    *words("heaviside divide_no_nan allclose logical_and logical_or logical_xor outer"),
]
BITS = ["bitwise_and", "bitwise_or", "bitwise_xor"]
SHIFTS = ["left_shift", "right_shift", "bitwise_left_shift", "bitwise_right_shift"]

CASES = [
    *[case(name, F34) for name in UNARY],
    *[case(name, I34) for name in UNARY if name not in ("i0",)],
    *[case(name, SPECIAL) for name in words("isnan isinf isfinite isposinf isneginf signbit nan_to_num sign abs")],
    *[case(name, B34) for name in words("abs square ceil trunc sin exp logical_not expm1 cbrt")],
    *[case(name, floats(3, 4, low=-0.9, high=0.9)) for name in ON_UNIT],
    *[case(name, floats(3, 4, low=1.1, high=3.0)) for name in ABOVE_ONE],
    *[case(name, POS) for name in ABOVE_ZERO],
    *[case(name, ints(3, 4, low=1)) for name in ABOVE_ZERO],
    *[case(name, floats(3, 4, low=-3.0, high=3.0)) for name in ACTIVATIONS],
    *[case(name, F34, F34B) for name in BINARY],
    *[case(name, F34, 1.5) for name in BINARY if name != "outer"],
    *[case(name, I34, ints(3, 4, low=1)) for name in BINARY if name != "floor_divide"],
    *[case(name, I34, 2) for name in BINARY if name != "outer"],
    *[case(name, I34, POS) for name in BINARY],
    *[case(name, floats(2, 1, 4), ints(3, 1, low=1)) for name in BINARY],
    *[case(name, I34, I34[::-1].copy()) for name in BITS],
    *[case(name, ints(3, low=0), ints(3, low=0, high=4)) for name in SHIFTS],
    case("bitwise_not", I34),
    case("bitwise_invert", I34),
    case("leaky_relu", F34, negative_slope=0.1),
    case("elu", F34, alpha=0.5),
    case("celu", F34, alpha=0.5),
    case("gelu", F34, approximate=False),
    case("soft_shrink", F34, 0.2),
    case("hard_shrink", F34, threshold=0.2),
    case("threshold", F34, 0.3, -1.0),
    case("squareplus", F34, b=2),
    case("glu", F34, axis=1),
    case("softmax", F34, axis=0),
    case("softmax", floats(2, 3, 4), axis=(0, 2)),
    case("softmax", F34, axis=None),
    case("log_softmax", floats(2, 3, 4), axis=(1, 2)),
    case("log_softmax", F34, axis=None),
    case("sparsemax", np.array([[3.0, 1.0, 0.0], [0.0, -5.0, -4.0]], "float32")),
    case("power", POS, 2.5),
    case("power", POS, F34),
    case("power", I34, 2),
    case("ldexp", F34, I34),
    case("gcd", ints(4), ints(4)),
    case("lcm", ints(4, low=1), ints(4, low=1)),
    case("imag", COMPLEX),
    case("real", COMPLEX),
    case("conj", COMPLEX),
    case("conjugate", COMPLEX),
    case("angle", COMPLEX),
    case("isreal", COMPLEX),
    case("round", F34, decimals=1),
    case("clip", F34, -0.5, 0.5),
    case("clip", I34, -1, 2),
    case("clip", F34, floats(4, low=-1, high=0), floats(4, low=0, high=1)),
    case("nan_to_num", SPECIAL, nan=7.0, posinf=8.0, neginf=9.0),
    # reductions
    *[
        case(name, x, **kwargs)
        for name in ("sum", "mean", "var", "std", "prod", "max", "min", "all", "any", "ptp", "median", "logsumexp")
        for x in (floats(2, 3, 4), ints(2, 3, 4))
        for kwargs in ({}, {"axis": 1}, {"axis": (0, 2), "keepdims": True}, {"axis": -1, "keepdims": True})
        if not (name == "ptp" and kwargs.get("axis") is None) and not (name == "logsumexp" and x.dtype == "int32")
    ],
    *[case(name, F34, axis=axis) for name in ("amax", "amin") for axis in (None, 0, (0, 1))],
    *[case(name, B34) for name in ("sum", "mean", "var", "prod", "max", "argmax", "cumsum", "count_nonzero", "sort")],
    *[case(name, ints(5, dtype="int8"), axis=0) for name in ("sum", "prod", "mean", "trunc", "max")[:3]],
    *[case(name, x, **k) for name in ("argmax", "argmin") for x in (F34, I34) for k in ({}, {"axis": 1})],
    case("argmax", F34, axis=0, keepdims=True),
    case("max", F34, axis=0, initial=1.0),
    case("min", F34, initial=-1.0),
    case("sum", F34, axis=()),
    case("mean", F34, axis=()),
    case("prod", F34, dtype="float32"),
    case("count_nonzero", I34),
    case("count_nonzero", I34, axis=0),
    case("average", F34),
    case("average", F34, axis=1, weights=floats(4, low=0.1)),
    case("average", F34, axis=1, weights=POS),
    case("quantile", F34, 0.3),
    case("quantile", F34, np.array([0.1, 0.9], "float32"), axis=1, keepdims=True),
    case("quantile", floats(2, 3, 4), 0.5, axis=(0, 2), method="nearest"),
    case("percentile", F34, 30, axis=0),
    case("cumsum", F34),
    case("cumsum", I34, axis=1),
    case("cumprod", F34, axis=0),
    case("cumprod", I34, axis=0, dtype="float32"),
    *[
        case(name, NAN, **k)
        for name in words("nansum nanprod nanmean nanvar nanstd nanmax nanmin nanmedian")
        for k in ({}, {"axis": 1}, {"axis": 0, "keepdims": True})
    ],
    *[case(name, NAN, axis=1) for name in ("nancumsum", "nancumprod", "nanargmax", "nanargmin")],
    *[case(name, I34, axis=1) for name in ("nansum", "nanmax", "nanargmax", "nanmean", "nanprod")],
    case("nanquantile", NAN, 0.3, axis=0),
    case("nanpercentile", NAN, 30),
    # shapes
    case("reshape", F34, (2, -1)),
    case("reshape", F34, 12),
    case("transpose", F34),
    case("transpose", floats(2, 3, 4), (1, 0, 2)),
    case("swapaxes", floats(2, 3, 4), 0, -1),
    case("moveaxis", floats(2, 3, 4), 0, -1),
    case("moveaxis", floats(2, 3, 4), (0, 1), (-1, 0)),
    case("expand_dims", F34, 1),
    case("expand_dims", F34, (0, -1)),
    case("squeeze", floats(1, 3, 1)),
    case("squeeze", floats(1, 3, 1), axis=0),
    case("broadcast_to", floats(3, 1), (2, 3, 4)),
    case("flip", F34),
    case("flip", F34, axis=1),
    case("fliplr", F34),
    case("flipud", F34),
    case("rot90", F34),
    case("rot90", floats(2, 3, 4), k=3, axes=(1, 2)),
    case("roll", F34, 2),
    case("roll", F34, 1, axis=1),
    case("repeat", F34, 2),
    case("repeat", F34, 3, axis=1),
    case("tile", F34, 2),
    case("tile", F34, (2, 1, 3)),
    case("concatenate", [F34, F34B], axis=1),
    case("concatenate", [I34, F34]),
    case("append", F34, F34B),
    case("append", F34, F34B, axis=1),
    case("stack", [F34, F34B]),
    case("stack", [F34, F34B], axis=-1),
    case("hstack", [F34, F34B]),
    case("vstack", [F34, F34B]),
    case("dstack", [F34, F34B]),
    case("split", floats(6, 4), 3),
    case("split", floats(6, 4), [1, 4]),
    case("split", floats(3, 6), 2, axis=1),
    case("array_split", floats(7, 2), 3),
    case("hsplit", floats(3, 6), 2),
    case("hsplit", floats(3, 6), [1, 4]),
    case("vsplit", floats(6, 2), 2),
    case("dsplit", floats(2, 3, 4), [1]),
    case("unstack", F34),
    case("unstack", F34, axis=1),
    case("pad", F34, ((1, 2), (0, 3))),
    case("pad", F34, ((1, 2), (0, 3)), constant_values=5.0),
    case("pad", F34, ((1, 2), (2, 1)), mode="reflect"),
    case("diag", floats(4)),
    case("diag", F34, k=1),
    case("diagflat", floats(2, 2), k=-1),
    case("diagonal", floats(2, 3, 4), offset=1, axis1=1, axis2=2),
    case("tril", F34),
    case("tril", F34, k=1),
    case("triu", F34, k=-1),
    case("rearrange", floats(2, 6, 4), "b (h w) c -> b c h w", h=2),
    case("rearrange", floats(2, 3, 4), "a b c -> (c a) b"),
    # order
    case("sort", F34),
    case("sort", I34, axis=0),
    case("sort", F34, axis=None),
    case("argsort", F34),
    case("argsort", I34, axis=0),
    case("searchsorted", np.array([1.0, 3.0, 5.0], "float32"), floats(4, high=6.0)),
    case("searchsorted", np.array([1, 3, 5]), np.array([3, 4]), side="right"),
    case("digitize", F34, np.array([-1.0, 0.0, 1.0], "float32")),
    case("bincount", ints(8, low=0), minlength=7),
    case("bincount", ints(2, 8, low=0), weights=floats(2, 8), minlength=9),
    case("histogram", floats(20), bins=5),
    case("histogram", floats(20), bins=5, range=(-1, 1)),
    case("unique", I34),
    case("unique", I34, return_inverse=True, return_counts=True),
    case("unique", ints(9), return_index=True, return_counts=True),
    case("unique", ints(6, 2, low=0, high=2), axis=0, return_counts=True),
    case("unique", ints(6), size=10, fill_value=-1),
    case("unique", ints(20), size=2),
    case("top_k", F34, 2),
    case("in_top_k", np.array([0, 3, 1]), F34, 2),
    case("isin", I34, ints(4)),
    case("isin", I34, ints(4), invert=True),
    # products
    case("matmul", floats(2, 3, 4), floats(4, 5)),
    case("matmul", I34, ints(4, 2)),
    case("matmul", ints(3, 4, dtype="int8"), ints(4, 2, dtype="int8")),
    case("matmul", I34, floats(4, 2)),
    case("dot", F34, floats(4)),
    case("dot", F34, floats(4, 2)),
    case("dot", I34, ints(4)),
    case("dot", F34, 3.0),
    case("inner", F34, F34B),
    case("vdot", floats(5), floats(5)),
    case("tensordot", floats(2, 3, 4), floats(3, 4, 5)),
    case("tensordot", floats(2, 3, 4), floats(4, 2), axes=((0, 2), (1, 0))),
    case("tensordot", F34, floats(4, 2), axes=(1, 0)),
    case("einsum", "ij,kj->ik", F34, F34B),
    case("einsum", "ij->j", F34),
    case("einsum", "ij,ij->i", ints(3, 4, dtype="int8"), ints(3, 4, dtype="int8")),
    case("kron", floats(2, 2), floats(2, 3)),
    case("cross", floats(4, 3), floats(4, 3), axis=-1),
    case("cross", floats(3, 4), floats(3, 4), axis=0),
    case("trace", F34),
    case("trace", floats(2, 3, 4), offset=1, axis1=1, axis2=2),
    case("diff", F34),
    case("diff", I34, n=2, axis=0),
    case("trapezoid", F34, dx=0.5),
    case("trapezoid", F34, x=np.sort(floats(4))),
    case("trapezoid", F34, axis=0),
    case("corrcoef", F34),
    case("correlate", floats(6), floats(3)),
    case("correlate", floats(6), floats(3), mode="same"),
    case("correlate", floats(6), floats(3), mode="full"),
    case("cdist", floats(2, 3, 4), floats(2, 5, 4)),
    case("norm", F34),
    case("norm", F34, ord=1, axis=1),
    case("norm", F34, ord="nuc"),
    case("norm", floats(2, 3, 4), axis=(1, 2), keepdims=True),
    case("norm", I34, ord=np.inf, axis=0),
    case("vander", floats(4)),
    case("vander", ints(4), 3, increasing=True),
    # indexing
    case("take", F34, np.array([[0, -1], [2, 1]]), axis=0),
    case("take", F34, np.array([0, 5])),
    case("take", floats(2, 3, 4), np.array([0, 2]), axis=1),
    case("take_along_axis", F34, np.array([[1, 0], [3, -1], [2, 2]]), axis=1),
    case("where", B34, F34, F34B),
    case("where", B34, F34, 0.0),
    case("where", B34),
    case("nonzero", I34),
    case("select", [B34, ~B34], [F34, F34B], 7.0),
    case("select", [F34 > 1, F34 < -1], [F34, F34B]),
    case("unravel_index", np.array([3, 7]), (3, 4)),
    case("get_item", F34, (slice(None), 1)),
    case("slice", F34, (1, 0), (2, 3)),
    case("slice_update", F34, (1, 1), floats(2, 2)),
    case("scatter", np.array([[0], [2], [2]]), floats(3, 4), (5, 4)),
    case("scatter", np.array([[0, 1], [2, 3]]), floats(2), (3, 4)),
    *[
        case("scatter_update", F34, np.array([[0], [2]]), floats(2, 4), reduction=how)
        for how in (None, "add", "max", "min", "mul")
    ],
    case("scatter_update", F34, np.array([[0, 1], [2, 3], [0, 1]]), floats(3), reduction="max"),
    # making
    case("zeros", (2, 3)),
    case("zeros", 3, dtype="int32"),
    case("ones", (2, 3), dtype="bfloat16"),
    case("full", (2, 3), 7.0),
    case("full", (2, 3), 7, dtype="int32"),
    case("full_like", I34, 3.7),
    case("zeros_like", F34, dtype="int32"),
    case("eye", 3),
    case("eye", 3, 5, k=1, dtype="int32"),
    case("eye", 4, 3, k=-2),
    case("identity", 3),
    case("tri", 3, 5, k=1),
    case("arange", 5),
    case("arange", 2, 8, 2),
    case("arange", 0.0, 1.0, 0.25),
    case("arange", 3, dtype="float32"),
    case("linspace", 0.0, 1.0, 5),
    case("linspace", 0, 10, num=5, endpoint=False),
    case("linspace", floats(3), floats(3), 4),
    case("logspace", 0.0, 2.0, num=4),
    case("logspace", 0, 3, num=4, base=2),
    case("geomspace", 1.0, 100.0, 5),
    case("meshgrid", floats(3), floats(4)),
    case("meshgrid", floats(3), floats(4), indexing="ij"),
    case("bartlett", 7),
    case("hanning", 7),
    case("hamming", 7),
    case("blackman", 7),
    case("kaiser", 7, 5.0),
    case("convert_to_tensor", I34, dtype="float32"),
    case("cast", F34, "int32"),
    case("cast", I34, "bool"),
    case("saturate_cast", floats(5, low=-300, high=300), "uint8"),
    case("saturate_cast", ints(5, low=-300, high=300), "int8"),
    case("saturate_cast", SPECIAL[:2] + 7e4, "float16"),
    case("view", F34, dtype="int32"),
    # math
    *[
        case(f"segment_{how}", x, np.array([0, 0, 2, -1]), num_segments=4)
        for how in ("sum", "prod", "max", "min")
        for x in (floats(4), floats(4, 3))
    ],
    case("segment_sum", ints(4), np.array([0, 1, 1, 2])),
    case("fft", (F34, F34B)),
    case("fft2", (F34, F34B)),
    case("ifft2", (F34, F34B)),
    case("rfft", floats(2, 8)),
    case("rfft", floats(2, 8), fft_length=5),
    case("irfft", (floats(2, 5), floats(2, 5))),
    case("irfft", (floats(2, 5), floats(2, 5)), fft_length=7),
    case("stft", floats(2, 64), 16, 8, 16),
    case("stft", floats(2, 2, 64), 12, 5, 16, window="hamming", center=False),
    case("stft", floats(64), 16, 8, 32, window=None),
    case("istft", (floats(2, 9, 9), floats(2, 9, 9)), 16, 8, 16),
    case("istft", (floats(9, 9), floats(9, 9)), 12, 6, 16),
    case("istft", (floats(9, 9), floats(9, 9)), 16, 8, 16, center=False),
    case("istft", (floats(9, 9), floats(9, 9)), 16, 8, 16, length=50),
    case("istft", (floats(9, 9), floats(9, 9)), 16, 8, 16, window=None),
    case("extract_sequences", floats(2, 10), 4, 2),
    case("view_as_complex", floats(3, 2)),
    case("view_as_real", COMPLEX),
    case("polar", POS, F34),
    # linear algebra
    case("cholesky", POSITIVE),
    case("cholesky", POSITIVE, upper=True),
    case("cholesky_inverse", np.tril(SQUARE[0])),
    case("det", SQUARE),
    case("slogdet", SQUARE),
    case("logdet", POSITIVE),
    case("eigh", POSITIVE),
    case("inv", SQUARE),
    case("pinv", floats(4, 3)),
    case("pinv", floats(4, 3), rcond=0.1),
    case("matrix_rank", np.ones((3, 3), "float32")),
    case("lu_factor", SQUARE),
    case("qr", floats(4, 3)),
    case("qr", floats(4, 3), mode="complete"),
    case("svd", floats(4, 3), compute_uv=False),
    case("svd", floats(4, 3), full_matrices=False),
    case("solve", SQUARE, floats(2, 3, 2)),
    case("solve", SQUARE[0], floats(3)),
    case("solve_triangular", np.triu(SQUARE[0]), floats(3)),
    case("solve_triangular", np.tril(SQUARE), floats(2, 3, 2), lower=True),
    case("lstsq", floats(5, 3), floats(5)),
    case("lstsq", floats(5, 3), floats(5, 2), rcond=1e-3),
]
