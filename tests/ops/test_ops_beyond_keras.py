"""Ops for which Keras on torch is no reference (it refuses, or is wrong): against NumPy, and by meaning."""

import itertools

import keras
import numpy as np
import pytest
import scipy.special
import torch
from op_cases import floats, ints, words

import lamella
from lamella import ops
from lamella.engine.graph import Graph
from lamella.engine.symbolic import symbolic_input
from lamella.errors import ArgumentError

F34 = floats(3, 4)


def close(ours, reference, tolerance=1e-5):
    np.testing.assert_allclose(np.asarray(ours), np.asarray(reference), rtol=tolerance, atol=tolerance)


# -- what NumPy has and Keras on torch has not, or has wrong ---------------------------------------------


@pytest.mark.parametrize(
    ("name", "args", "kwargs"),
    [
        ("linspace", (floats(3), floats(3), 4), {"axis": 1}),
        ("linspace", (floats(3), floats(3), 4), {"endpoint": False}),
        ("linspace", (0, 1, 1), {}),
        ("logspace", (0.0, 2.0, 5), {"endpoint": False}),
        ("geomspace", (np.float32([1, 2]), np.float32([100, 50]), 4), {"axis": -1}),
        ("pad", (F34, ((1, 2), (3, 1))), {"mode": "symmetric"}),
        ("pad", (F34, ((2, 2), (3, 1))), {"mode": "reflect"}),
        ("pad", (F34, ((1, 2), (3, 1))), {"mode": "edge"}),
        ("pad", (F34, ((1, 2), (3, 1))), {"mode": "wrap"}),
        ("pad", (ints(3), (2, 1)), {}),
        ("pad", (F34, 2), {}),
        ("cross", (floats(4, 3), floats(4, 3)), {}),
        ("cross", (floats(3, 4), floats(4, 3)), {"axisa": 0, "axisc": 0}),
        ("average", (floats(2, 3, 4),), {"axis": 1, "weights": floats(3, low=0.1)}),
        ("average", (F34,), {"weights": floats(3, 4, low=0.1)}),
        ("repeat", (F34, [1, 0, 2]), {"axis": 0}),
        ("repeat", (F34, np.array([1, 0, 2, 1])), {"axis": 1}),
        ("ptp", (F34,), {}),
        ("dot", (floats(2, 3), floats(4, 3, 2)), {}),
        ("squeeze", (floats(1, 3, 1, 1),), {"axis": (0, 2)}),
        ("nextafter", (np.float32([1, 0]), np.float32([2, -1])), {}),
        ("floor_divide", (F34, 0.7), {}),
        ("correlate", (floats(3), floats(7)), {"mode": "valid"}),
        ("vdot", (floats(2, 3), floats(2, 3)), {}),
        ("vsplit", (floats(6, 2), [2, 3]), {}),
        ("unravel_index", (np.array([[3, 7]]), (2, 2, 3)), {}),
        ("kaiser", (1, 3.0), {}),
        ("bartlett", (1,), {}),
        ("std", (F34,), {"axis": ()}),
        ("roll", (F34, (1, 2)), {"axis": 0}),
        ("roll", (F34, (1, 2)), {"axis": None}),
        ("roll", (F34, [3]), {"axis": (0, 1)}),
        ("roll", (F34, np.array([1, -2])), {"axis": (1, 0)}),
        ("concatenate", ([F34, floats(2)],), {"axis": None}),
        ("nancumsum", (np.float32([[np.nan, np.inf, 1], [np.nan, -np.inf, 2]]),), {"axis": 1}),
        ("nancumprod", (np.float32([[np.nan, np.inf, 2], [3, -np.inf, 2]]),), {"axis": 1}),
        ("column_stack", ([floats(3), floats(3, 2), ints(3)],), {}),
        ("signbit", (np.array([1, -1]),), {}),
    ],
)
def test_like_numpy(name, args, kwargs):
    expected = {"average": np.average}.get(name, getattr(np, name, None))(*args, **kwargs)
    found = getattr(ops, name)(*args, **kwargs)
    if isinstance(expected, (list, tuple)):
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            close(one, other)
    else:
        assert tuple(found.shape) == expected.shape
        close(found, expected)


@pytest.mark.parametrize("n", [-2, -1, 0, 1, 5])
def test_powers_of_matrices(n):
    x = floats(2, 3, 3) + 3 * np.eye(3, dtype="float32")
    close(ops.matrix_power(x, n), np.linalg.matrix_power(x.astype("float64"), n), 1e-4 * max(1, np.abs(x).max() ** n))
    whole = np.array([[1, 2], [3, 5]])
    found = ops.linalg.matrix_power(whole, n)
    assert found.is_floating_point() == (n < 0)
    close(found, np.linalg.matrix_power(whole if n >= 0 else whole.astype("float64"), n), 1e-4)


def test_the_incomplete_gamma_function():
    a, x = np.abs(floats(4, 1)) + 0.1, np.abs(floats(5))
    close(ops.gammainc(a, x), scipy.special.gammainc(a, x))
    close(ops.gammainc(1, x), 1 - np.exp(-x))
    half = ops.gammainc(torch.tensor(a).half(), torch.tensor(x).half())
    assert half.dtype is torch.float16
    close(half.float(), scipy.special.gammainc(a, x), 1e-2)


@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
@pytest.mark.parametrize(("size", "space"), [(2, (8, 7)), ((3, 2), (9, 8)), ((3, 5), (10, 12)), ((2, 3, 2), (5, 7, 6))])
def test_patches_become_pictures_again(size, space, data_format, padding):
    window = (size, size) if isinstance(size, int) else size
    kept = tuple(n if padding == "same" else n // w * w for n, w in zip(space, window, strict=True))
    x = torch.tensor(floats(3, *space, 2))
    part = x[(slice(None), *map(slice, kept))]
    if data_format == "channels_first":
        x, part = x.movedim(-1, 1), part.movedim(-1, 1)
    patches = ops.image.extract_patches(x, size, padding=padding, data_format=data_format)
    for given, expected in ((patches, part), (patches[0], part[0])):
        found = ops.image.reconstruct_patches(given, size, kept, padding=padding, data_format=data_format)
        assert torch.equal(found, expected)
    symbol = symbolic_input((None, *patches.shape[1:]))
    found = ops.image.reconstruct_patches(symbol, size, kept, padding=padding, data_format=data_format)
    assert found.shape == (None, *part.shape[1:])
    assert torch.equal(evaluate([symbol], found, patches), part)


KINDS = [torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.int32, torch.int64, torch.int8, torch.uint8]


@pytest.mark.parametrize("kind", KINDS)
def test_of_equal_numbers_the_first_are_the_largest(kind):
    source = torch.Generator().manual_seed(0)
    x = torch.randint(0, 6, (40, 30), generator=source).to(kind)
    if kind.is_floating_point:
        special = torch.tensor([np.nan, -np.nan, np.inf, -np.inf, 0.0, -0.0]).to(kind)
        x[20:, ::4] = special[torch.randint(0, 6, (20, 8), generator=source)]
    elif kind.is_signed:
        x[20:, ::4] = torch.tensor([torch.iinfo(kind).max, torch.iinfo(kind).min])[torch.randint(0, 2, (20, 8))].to(
            kind
        )
    for k in (0, 1, 5, 30):
        values, places = ops.top_k(x, k)
        expected = torch.sort(x, descending=True, stable=True)
        assert torch.equal(places, expected.indices[:, :k])
        torch.testing.assert_close(values, expected.values[:, :k], equal_nan=True, rtol=0, atol=0)
        torch.testing.assert_close(ops.top_k(x, k, is_stable=False).values, values, equal_nan=True, rtol=0, atol=0)


def test_gradients_of_the_largest_go_where_they_are():
    x = torch.tensor([[1.0, 3.0, 3.0, 2.0]], requires_grad=True)
    assert torch.autograd.grad(ops.top_k(x, 2)[0].sum(), x)[0].tolist() == [[0.0, 1.0, 1.0, 0.0]]


def test_targets_of_any_shape_are_looked_for_among_the_largest():
    predictions, targets = floats(2, 3, 5), np.random.default_rng(0).integers(0, 5, (2, 3))
    found = ops.in_top_k(targets, predictions, 2)
    expected = [
        [t in np.argsort(-p)[:2] for t, p in zip(*row, strict=True)] for row in zip(targets, predictions, strict=True)
    ]
    assert found.tolist() == expected


def test_the_gradient_of_a_vector_of_zeros_is_a_number():
    x = torch.tensor([[0.0, 0.0, 0.0], [3.0, 4.0, 0.0]], requires_grad=True)
    (gradient,) = torch.autograd.grad(ops.normalize(x)[:, 1].sum(), x)
    assert gradient.isfinite().all()
    close(gradient[1], [-0.096, 0.072, 0.0])


def test_the_step_of_linspace():
    values, step = ops.linspace(0.0, 1.0, 5, retstep=True)
    assert float(step) == 0.25
    close(values, [0, 0.25, 0.5, 0.75, 1])


def test_argpartition_beyond_the_axis_is_refused():
    with pytest.raises(ArgumentError, match="from -3 to 2; got 5"):
        ops.argpartition(np.zeros((2, 3)), 5)


def test_reshape_to_a_symbolic_tensors_own_unknown_size():
    x = lamella.Input((4, 6))
    model = lamella.Model(x, ops.reshape(x, (ops.shape(x)[0], 24)))  # Keras takes None there, and then fails on data
    assert model.output_shape == (None, 24) and model(torch.ones(3, 4, 6)).shape == (3, 24)


def test_slices_of_all_that_follows():
    x = np.arange(12.0).reshape(3, 4)
    np.testing.assert_array_equal(ops.slice(x, (1, 2), (-1, -1)), x[1:, 2:])
    np.testing.assert_array_equal(ops.slice(x, ops.convert_to_tensor([1, 2]), (2, -1)), x[1:3, 2:])
    assert ops.slice(lamella.KerasTensor((None, 4)), (0, 1), (-1, -1)).shape == (None, 3)


def test_argpartition_parts():
    x = floats(4, 9)
    index = ops.argpartition(x, 3, axis=1)
    parted = np.take_along_axis(x, index.numpy(), 1)
    assert index.dtype == torch.int32
    assert (parted[:, :3] <= parted[:, 3:4]).all() and (parted[:, 4:] >= parted[:, 3:4]).all()


def test_eig_solves_its_equation():
    x = floats(2, 3, 3)
    values, vectors = ops.eig(x)
    close(torch.tensor(x).to(vectors.dtype) @ vectors, vectors * values[:, None], 1e-4)


def test_lanczos_resizing_keeps_a_constant_and_the_same_size():
    pictures = floats(1, 6, 7, 2)
    for how in ("lanczos3", "lanczos5"):
        close(ops.image.resize(np.ones((1, 6, 7, 2), "float32"), (4, 9), how), np.ones((1, 4, 9, 2)))
        close(ops.image.resize(pictures, (6, 7), how), pictures)


def test_average_pooling_leaves_the_padding_out():
    """As TensorFlow and JAX have it; Keras on torch repeats the edge instead."""
    x = floats(2, 5, 3)
    found = ops.average_pool(x, 3, strides=2, padding="same")
    close(found, np.stack([x[:, :2].mean(1), x[:, 1:4].mean(1), x[:, 3:].mean(1)], 1))


def test_sparsemax_sums_to_one():
    """Keras 3 does not, where more than one entry is positive."""
    found = ops.sparsemax(floats(5, 4))
    close(found.sum(-1), np.ones(5))
    assert (found >= 0).all()


def test_layer_normalization_of_a_middle_axis():
    x, gamma = floats(2, 3, 4), floats(3)
    expected = (x - x.mean(1, keepdims=True)) / np.sqrt(x.var(1, keepdims=True) + 1e-3) * gamma[:, None]
    close(ops.layer_normalization(x, gamma, axis=1, epsilon=1e-3), expected)


def test_rms_scaling_warns_and_scales():
    x = floats(2, 4)
    with pytest.warns(UserWarning, match="rms_normalization"):
        found = ops.layer_normalization(x, rms_scaling=True, epsilon=0.0)
    close(found, x / x.std(-1, keepdims=True))


def test_batch_normalization_does_not_write_into_its_input():
    x = torch.tensor(F34)
    ops.batch_normalization(x, floats(4), floats(4, low=0.1), -1)
    close(x, F34)


def test_a_fully_masked_row_of_attention_is_uniform():
    x = floats(1, 3, 1, 2)
    found = ops.dot_product_attention(x, x, x, mask=np.zeros((1, 1, 3, 3), bool))
    close(found, np.broadcast_to(x.mean(1, keepdims=True), x.shape))


def test_attention_with_a_bias_is_causal_too():
    x, bias = floats(1, 4, 1, 2), floats(1, 1, 4, 4)
    found = ops.dot_product_attention(x, x, x, bias=bias, is_causal=True)
    scores = x[0, :, 0] @ x[0, :, 0].T / np.sqrt(2) + bias[0, 0]
    weights = np.exp(np.where(np.tril(np.ones((4, 4))), scores, -np.inf))
    close(found[0, :, 0], weights / weights.sum(-1, keepdims=True) @ x[0, :, 0])


@pytest.mark.parametrize("flash", [True, False])
def test_the_attention_kernel_can_be_chosen(flash):
    x = floats(1, 4, 2, 8)
    close(ops.dot_product_attention(x, x, x, flash_attention=flash), ops.dot_product_attention(x, x, x))


# -- decoding ------------------------------------------------------------------------------------------


def likeliest(log_p, blank, top):
    """The best labellings, by trying every alignment."""
    scores = {}
    steps, classes = log_p.shape
    for alignment in itertools.product(range(classes), repeat=steps):
        merged = [c for i, c in enumerate(alignment) if i == 0 or c != alignment[i - 1]]
        labels = tuple(c for c in merged if c != blank)
        score = sum(log_p[step, c] for step, c in enumerate(alignment))
        scores[labels] = np.logaddexp(scores.get(labels, -np.inf), score)
    return sorted(scores.items(), key=lambda item: -item[1])[:top]


@pytest.mark.parametrize("blank", [0, 2])
def test_beam_search_finds_the_likeliest_labellings(blank):
    logits, lengths = floats(3, 5, 3), [5, 4, 2]
    labels, scores = ops.ctc_decode(logits, lengths, "beam_search", beam_width=60, top_paths=3, mask_index=blank)
    assert labels.shape == (3, 3, 5) and labels.dtype == torch.int32
    for sample, length in enumerate(lengths):
        log_p = torch.log_softmax(torch.tensor(logits[sample, :length]), -1).numpy()
        for path, (expected, score) in enumerate(likeliest(log_p, blank, 3)):
            row = labels[path, sample]
            assert row[row >= 0].tolist() == list(expected)
            assert float(scores[sample, path]) == pytest.approx(score, abs=1e-4)


def test_beam_search_like_keras():
    logits, lengths = floats(2, 8, 5), np.array([8, 6])
    ours = ops.ctc_decode(logits, lengths, "beam_search", beam_width=40, top_paths=2)
    theirs = keras.ops.ctc_decode(logits, lengths, "beam_search", beam_width=40, top_paths=2)
    np.testing.assert_array_equal(ours[0], theirs[0])
    close(ours[1], theirs[1], 1e-4)


# -- types ---------------------------------------------------------------------------------------------

WITHOUT_NUMBERS = ("matmul", "logaddexp", "arctan2", "hypot")
TYPES = words("bool uint8 int8 int16 int32 int64 float16 bfloat16 float32")
PAIRED = words("add multiply divide maximum minimum matmul mod logaddexp arctan2 hypot floor_divide power where")
SINGLE = words("""sum mean var std prod max min cumsum cumprod argmax median exp log sqrt sin floor ceil square negative
    absolute sign round cbrt count_nonzero quantile norm trace deg2rad rad2deg i0 corrcoef""")


def made(module, name, values):
    extra = {"quantile": (0.5,)}.get(name, ())
    if name == "where":
        values = [module.convert_to_tensor([[True]]), *values]
    return module.dtype(getattr(module, name)(*values, *extra)) if module is ops else outcome(name, values, extra)


def outcome(name, values, extra):
    found = getattr(keras.ops, name)(*values, *extra)
    return str(found.dtype).split(".")[-1]


def both(name, values):
    results = []
    for module in (ops, keras.ops):
        try:
            results.append(made(module, name, values))
        except (RuntimeError, TypeError, ValueError) as error:
            results.append(type(error))
    return results


@pytest.mark.filterwarnings("ignore:.*T.*deprecated:UserWarning")
@pytest.mark.parametrize("name", PAIRED)
def test_types_of_pairs_meet_as_in_keras(name):
    others = [torch.ones(2, 2, dtype=getattr(torch, kind)) for kind in TYPES]
    for one in others:
        for other in [*others, 2, 2.5, True]:
            # Beside a number Keras's eager types differ from its own symbolic ones, which are ours
            if name in WITHOUT_NUMBERS and not isinstance(other, torch.Tensor):
                continue
            ours, theirs = both(name, [one, other])
            if isinstance(theirs, str):
                assert ours == theirs, (name, one.dtype, other)


@pytest.mark.filterwarnings("ignore:.*T.*deprecated:UserWarning")
@pytest.mark.parametrize("name", SINGLE)
def test_types_of_results_are_keras_s(name):
    for kind in TYPES:
        ours, theirs = both(name, [torch.ones(2, 2, dtype=getattr(torch, kind))])
        if isinstance(theirs, str):
            assert ours == theirs, (name, kind)


@pytest.mark.parametrize("name", ["mean", "var", "sum", "matmul", "maximum", "median", "logaddexp", "norm", "cumsum"])
def test_float64_stays(name):
    x = np.random.default_rng(0).normal(size=(3, 3))
    args = (x, x) if name in ("matmul", "maximum", "logaddexp") else (x,)
    assert getattr(ops, name)(*args).dtype == torch.float64


def test_a_number_beside_a_tensor_keeps_its_digits():
    assert float(ops.multiply(torch.ones(1, dtype=torch.float64), 1.1)[0]) == 1.1


def test_what_becomes_a_tensor():
    assert ops.convert_to_tensor([1, 2]).dtype == torch.int32
    assert ops.convert_to_tensor([1, 2**40]).dtype == torch.int64
    assert ops.convert_to_tensor([[1.0], [2.0]]).dtype == torch.float32
    assert ops.convert_to_tensor([True]).dtype == torch.bool
    assert ops.convert_to_tensor(2**40).dtype == torch.int64
    assert ops.convert_to_tensor(np.arange(3.0)).dtype == torch.float64
    assert ops.convert_to_tensor(np.arange(3, dtype="uint16")).dtype == torch.int32
    assert ops.convert_to_tensor([torch.ones(2), torch.zeros(2)]).shape == (2, 2)
    assert ops.convert_to_tensor(1 + 2j).dtype == torch.complex64
    assert ops.convert_to_tensor([]).shape == (0,)
    array = np.ones(3, "float32")[::-1]
    copy = ops.convert_to_tensor(array)
    copy[0] = 5
    assert array.sum() == 3  # the array is copied, not shared
    x = torch.ones(2)
    assert ops.convert_to_tensor(x) is x


def test_numpy_and_back():
    x = torch.ones(2, requires_grad=True)
    assert isinstance(ops.convert_to_numpy(x), np.ndarray)
    assert ops.convert_to_numpy(torch.ones(2, dtype=torch.bfloat16)).dtype == np.float32
    assert ops.convert_to_numpy([torch.ones(2), 3 * torch.ones(2)]).tolist() == [[1, 1], [3, 3]]
    assert ops.is_tensor(x) and not ops.is_tensor(np.ones(2))
    assert ops.shape(np.ones((2, 3))) == (2, 3) and ops.shape([[1], [2]]) == (2, 1)
    assert ops.dtype(x) == "float32" and ops.dtype(1) == "int32"
    assert ops.empty((2, 3), "int32").dtype == torch.int32
    assert ops.empty_like(x, "float64").dtype == torch.float64


# -- control flow ----------------------------------------------------------------------------------------


def test_loops():
    assert ops.while_loop(lambda i, _: i < 5, lambda i, s: (i + 1, s + i), (0, 0))[1] == 10
    assert ops.while_loop(lambda i: i < 5, lambda i: i + 1, 0, maximum_iterations=2) == 2
    assert ops.fori_loop(1, 4, lambda i, v: v * i, torch.tensor(1)) == 6
    assert ops.switch(7, [lambda x: x, lambda x: -x], 3) == -3
    assert ops.cond(torch.tensor(False), lambda: 1, lambda: 2) == 2
    x = torch.tensor(F34)
    close(ops.map(lambda row: row.sum(), x), x.sum(1))
    close(ops.vectorized_map(lambda row: row.sum(), x), x.sum(1))


@pytest.mark.parametrize("reverse", [False, True])
def test_scan_like_keras(reverse):
    def step(carry, x):
        return {"sum": carry["sum"] + x[0]}, carry["sum"] * x[1]

    xs, init = (torch.tensor(F34), torch.tensor(floats(3, 4))), {"sum": torch.zeros(4)}
    ours, theirs = (module.scan(step, init, xs, reverse=reverse) for module in (ops, keras.ops))
    close(ours[0]["sum"], theirs[0]["sum"])
    close(ours[1], theirs[1])
    counted = ops.scan(lambda carry, _: (carry + 1, carry), 0, length=4)
    assert counted[0] == 4 and counted[1].tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("length", [1, 2, 5, 8])
@pytest.mark.parametrize("reverse", [False, True])
def test_associative_scan_like_keras(length, reverse):
    x = torch.tensor(floats(2, length))

    def first_wins_linear(a, b):  # (a0, a1) then (b0, b1) as affine maps: associative, not commutative
        return [a[0] * b[0], a[1] * b[0] + b[1]]

    elems = [x, torch.tensor(floats(2, length))]
    ours, theirs = (module.associative_scan(first_wins_linear, elems, reverse, axis=1) for module in (ops, keras.ops))
    for one, other in zip(ours, theirs, strict=True):
        close(one, other)


def test_vectorize():
    def shifted(x, y):
        return torch.where(x > y, x - y, x + y)

    x = torch.tensor(floats(2, 1))
    y = torch.tensor(floats(3))
    close(ops.vectorize(shifted)(x, y), torch.where(x > y, x - y, x + y))
    dot = ops.vectorize(lambda a, b: (a * b).sum(), signature="(n),(n)->()")
    a, b = torch.tensor(floats(5, 1, 4)), torch.tensor(floats(3, 4))
    close(dot(a, b), (a * b).sum(-1))
    scaled = ops.vectorize(lambda a, factor: a * factor, excluded={"factor"})
    close(scaled(x, factor=3), 3 * x)
    with pytest.raises(ValueError, match="2 arguments; 1 were given"):
        dot(a)


def test_custom_gradients_and_directional_derivatives():
    @ops.custom_gradient
    def doubled(x, y):
        return x * y, lambda x, y, upstream: (upstream * 7, None)

    x = torch.tensor(2.0, requires_grad=True)
    y = torch.tensor(3.0)
    out = doubled(x, y)
    assert out == 6 and torch.autograd.grad(out, x)[0] == 7
    value, slope = ops.jvp(lambda x: x**3, (2.0,), (1.0,))
    assert value == 8 and slope == 12
    _, _, aux = ops.jvp(lambda x: (x, x + 1), (torch.ones(1),), (torch.ones(1),), has_aux=True)
    assert aux == 2
    assert not ops.stop_gradient(x).requires_grad


# -- symbolic ------------------------------------------------------------------------------------------


def evaluate(inputs, output, *values):
    return Graph(inputs, output)([torch.as_tensor(v) for v in values])


def test_a_symbolic_condition_chooses():
    x, flag = symbolic_input((None, 3)), symbolic_input((), "bool")
    chosen = ops.cond(flag, lambda: x + 1, lambda: x * 0)
    assert chosen.shape == (None, 3) and chosen.name.startswith("cond")
    for truth in (True, False):
        found = evaluate([x, flag], chosen, np.ones((2, 3), "float32"), truth)
        close(found, np.full((2, 3), 2.0 if truth else 0.0))


def test_loops_over_symbolic_tensors():
    x = symbolic_input((None, 3))
    value = np.ones((2, 3), "float32")
    close(evaluate([x], ops.while_loop(lambda v: v.sum() < 50, lambda v: v * 2, x), value), np.full((2, 3), 16))
    close(evaluate([x], ops.fori_loop(0, 3, lambda i, v: v + i, x), value), value + 3)
    close(evaluate([x], ops.vectorized_map(lambda row: row.sum(), x), value), [3, 3])
    assert ops.switch(1, [lambda v: v, lambda v: v[:, :1]], x).shape == (None, 1)


def test_unknown_sizes_stay_unknown():
    x = symbolic_input((None, 3))
    assert ops.nonzero(x).shape == (2, None)
    assert ops.where(ops.greater(x, 0)).shape == (2, None)
    assert ops.bincount(symbolic_input((None,), "int32")).shape == (None,)
    assert ops.unique(x, size=5).shape == (5,)
    assert ops.segment_sum(x, symbolic_input((None,), "int32")).shape == (None, 3)
    assert ops.shape(x) == (None, 3) and ops.ndim(x) == 2 and ops.dtype(x) == "float32"
    values, counts = ops.unique(x, return_counts=True)
    assert values.shape == counts.shape == (None,)
    known = symbolic_input((2, 3))  # also where the sizes of the input are known
    assert ops.nonzero(known).shape == (2, None) and ops.unique(known, axis=1).shape == (2, None)


@pytest.mark.parametrize(
    ("function", "shape"),
    [
        (lambda x: ops.softmax(x, axis=(1, 2)), (None, 8, 3)),
        (lambda x: ops.reshape(x, (-1, 24)), (None, 24)),
        (lambda x: ops.conv(x, np.ones((3, 3, 5), "float32"), 2, "same"), (None, 4, 5)),
        (lambda x: ops.max_pool(x, 2), (None, 4, 3)),
        (lambda x: ops.quantile(x, 0.5, axis=1), (None, 3)),
        (lambda x: ops.one_hot(ops.cast(x, "int32"), 4), (None, 8, 3, 4)),
        (lambda x: ops.top_k(x, 2)[0], (None, 8, 2)),
        (lambda x: ops.stft(ops.transpose(x, (0, 2, 1)), 4, 2, 4)[0], (None, 3, 5, 3)),
        (lambda x: ops.image.resize(ops.expand_dims(x, 1), (2, 4)), (None, 2, 4, 3)),
        (lambda x: ops.image.extract_patches(ops.expand_dims(x, 1), (1, 2)), (None, 1, 4, 6)),
        (lambda x: ops.rearrange(x, "b (h w) c -> b h w c", h=2), (None, 2, 4, 3)),
        (lambda x: ops.layer_normalization(x, axis=1), (None, 8, 3)),
        (lambda x: ops.pad(x, ((0, 0), (1, 1), (0, 0)), "reflect"), (None, 10, 3)),
        (lambda x: ops.repeat(x, 2, axis=1), (None, 16, 3)),
        (lambda x: ops.concatenate([x, x], axis=1), (None, 16, 3)),
        (lambda x: ops.einsum("bij,bkj->bik", x, x), (None, 8, 8)),
        (lambda x: ops.scan(lambda c, v: (c + v, c), ops.zeros((3,)), ops.transpose(x[0]).T)[0], (3,)),
        (lambda x: ops.full_like(x, 2.0), (None, 8, 3)),
        (lambda x: ops.dot_product_attention(*[ops.expand_dims(x, 2)] * 3, is_causal=True), (None, 8, 1, 3)),
        (lambda x: ops.isin(x, [1.0, 2.0]), (None, 8, 3)),
    ],
)
def test_the_batch_stays_unknown(function, shape):
    x = symbolic_input((None, 8, 3))
    found = function(x)
    assert found.shape == shape
    value = torch.tensor(floats(5, 8, 3))
    close(evaluate([x], found, value), function(value))


def test_ops_inside_a_layer_and_saved_in_a_model(tmp_path):
    class Normed(lamella.layers.Layer):
        def call(self, inputs):
            batch, *_ = ops.shape(inputs)
            return ops.reshape(ops.normalize(inputs) + ops.arange(4.0), (batch, 2, 2))

    inputs = lamella.Input((4,))
    outputs = ops.sum(Normed()(inputs), axis=(1, 2))
    model = lamella.Model(inputs, outputs)
    x = floats(3, 4)
    assert model.output_shape == (None,)
    close(model.predict(x, verbose=0), (x / np.linalg.norm(x, axis=1, keepdims=True) + np.arange(4)).sum(1))


def test_every_op_is_in_the_registry():
    from lamella.engine.registry import serialize
    from lamella.ops.base import registry

    plain = {"convert_to_numpy", "is_tensor", "shape", "dtype", "cond", "custom_gradient", "ndim", "image", "linalg"}
    assert set(ops.__all__) - set(registry) == plain | {"nn", "numpy"}
    assert registry["abs"] is ops.abs is ops.absolute
    assert serialize(ops.matmul) == "matmul"


# -- errors ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ops.sum(F34, axis=2), "axis 2 is out of range for an array of rank 2"),
        (lambda: ops.max(np.zeros((0, 3))), "Give `initial`"),
        (lambda: ops.split(F34, 5, axis=1), "cannot be cut into 5 equal sections"),
        (lambda: ops.pad(F34, ((1, 1),) * 3), "a pair for each of 2 axes"),
        (lambda: ops.pad(F34, 1, "mirror"), "`mode` must be 'constant'"),
        (lambda: ops.pad(F34, 1, "reflect", constant_values=1), "only with mode='constant'"),
        (lambda: ops.rot90(floats(3)), "at least 2 axes"),
        (lambda: ops.rot90(F34, axes=(1, 1)), "two different"),
        (lambda: ops.conv(F34, F34), "rank 3, 4 or 5"),
        (lambda: ops.conv(floats(1, 5, 3), floats(3, 2, 4)), "does not fit inputs with 3 channels"),
        (lambda: ops.conv(floats(1, 5, 3), floats(3, 3, 4), padding="full"), "'valid' or 'same'"),
        (lambda: ops.conv(floats(1, 5, 3), floats(3, 3, 4), strides=0), "`strides` must be"),
        (lambda: ops.conv_transpose(floats(1, 5, 3), floats(3, 4, 2)), r"expected \(\*window, filters, 3\)"),
        (lambda: ops.depthwise_conv(floats(1, 5, 3), floats(3, 2, 1)), "depth_multiplier"),
        (lambda: ops.max_pool(floats(1, 5, 3), 2, data_format="NHWC"), "'channels_last' or 'channels_first'"),
        (lambda: ops.one_hot([1], 3, sparse=True), "sparse"),
        (lambda: ops.multi_hot([1]), "needs `num_classes`"),
        (lambda: ops.categorical_crossentropy(F34, floats(3, 5)), "must have one shape"),
        (lambda: ops.sparse_categorical_crossentropy([1, 2], F34), r"without the axis of the classes, \(3,\)"),
        (lambda: ops.moments(F34, 0, synchronized=True), "SyncBatchNorm"),
        (lambda: ops.normalize(F34, order=0.5), "`order` must be"),
        (lambda: ops.dot_product_attention(F34, F34, F34), r"takes \(batch, length, heads, size\)"),
        (lambda: ops.dot_product_attention(*[floats(1, 2, 1, 2)] * 3, bias=1.0, mask=True), "Only one of"),
        (lambda: ops.ctc_decode(floats(1, 2, 3), [2], "best"), "'greedy' or 'beam_search'"),
        (lambda: ops.depth_to_space(floats(1, 2, 2, 4), 1), "`block_size`"),
        (lambda: ops.softmax(1.0), "needs an axis"),
        (lambda: ops.segment_sum(F34, [0, 1]), "as long as `data`"),
        (lambda: ops.fft(F34), "a pair of tensors"),
        (lambda: ops.fft((F34, floats(3, 3))), "one shape"),
        (lambda: ops.stft(floats(64), 16, 8, 8), "must not be below `sequence_length`"),
        (lambda: ops.stft(floats(64), 16, 0, 16), "`sequence_stride` must be"),
        (lambda: ops.stft(floats(64), 16, 8, 16, window="box"), "`window` must be"),
        (lambda: ops.view_as_complex(floats(3)), "of size 2"),
        (lambda: ops.cholesky(-np.eye(3, dtype="float32")), "not positive definite"),
        (lambda: ops.inv(np.zeros((3, 3), "float32")), "no inverse"),
        (lambda: ops.det(F34), "expected square matrices"),
        (lambda: ops.qr(F34, mode="r"), "'reduced' or 'complete'"),
        (lambda: ops.solve(np.eye(3), floats(4)), "do not fit"),
        (lambda: ops.cdist(floats(3), floats(3)), r"takes \(..., n, d\)"),
        (lambda: ops.searchsorted(F34, 1.0), "takes a vector"),
        (lambda: ops.histogram(F34, bins=0), "`bins` must be"),
        (lambda: ops.correlate(floats(3), floats(3), mode="all"), "'valid', 'same' or 'full'"),
        (lambda: ops.scatter_update(F34, [[0]], F34[:1], reduction="mean"), "`reduction` must be"),
        (lambda: ops.scan(lambda c, x: (c, x), 0), "`length`"),
        (lambda: ops.rearrange(F34, "a b -> b c"), "does not fit"),
        (lambda: ops.convert_to_tensor([1], sparse=True), "not supported"),
        (lambda: ops.convert_to_tensor(["a", 1]), "Cannot make a tensor"),
        (lambda: ops.image.resize(F34, (2, 2)), "rank 3"),
        (lambda: ops.image.resize(floats(3, 4, 1), (0, 2)), "both positive"),
        (lambda: ops.image.pad_images(floats(3, 4, 1), 1), "exactly two of"),
        (lambda: ops.image.crop_images(floats(3, 4, 1), 1, 0, target_height=9, target_width=2), "does not fit"),
        (lambda: ops.image.map_coordinates(F34, floats(3, 2), 1), r"must have shape \(2, ...\)"),
        (lambda: ops.image.map_coordinates(F34, floats(2, 2), 3), "`order` must be 0 or 1"),
        (lambda: ops.image.scale_and_translate(F34, (2, 2), [1.0], [0.0], (0,), "box"), "`method` must be"),
        (lambda: ops.image.extract_patches(floats(1, 4, 4, 1), (1,)), "`size` must be"),
        (lambda: ops.image.reconstruct_patches(floats(1, 2, 2, 4), 2, (5, 4)), r"cover \(4, 4\); with padding='valid'"),
        (lambda: ops.image.reconstruct_patches(floats(1, 2, 2, 3), 2, (4, 4)), "do not make pictures"),
        (lambda: ops.image.reconstruct_patches(floats(1, 2, 2, 4), 2, (4, 4), strides=1), "side by side"),
        (lambda: ops.image.reconstruct_patches(floats(2, 2), 2, (4, 4)), "have rank 3 or 4"),
        (lambda: ops.roll(F34, (1, 2, 3), (0, 1)), "one `shift` for each axis"),
        (lambda: ops.top_k(F34, 5), "from 0 to the size of the last axis"),
        (lambda: ops.matrix_power(F34, 2), "expected square matrices"),
        (lambda: ops.matrix_power(np.zeros((2, 2)), -1), "no inverse"),
        (lambda: ops.matrix_power(np.eye(2), 0.5), "must be a whole number"),
    ],
)
def test_errors_say_what_is_wrong(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_errors_of_type():
    with pytest.raises(TypeError, match="whole numbers"):
        ops.ldexp(F34, F34)
    with pytest.raises(TypeError, match="float32 or float64"):
        ops.stft(ints(64), 16, 8, 16)
    with pytest.raises(TypeError, match="callable"):
        ops.scan(3, 0, [1])
