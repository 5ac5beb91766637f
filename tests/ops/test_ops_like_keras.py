"""Every op against real Keras: values, types, shapes, gradients; and on symbolic tensors."""

import keras
import nn_cases
import numpy as np
import op_cases
import pytest
import torch
from keras import tree

import lamella
from lamella import ops
from lamella.engine.graph import Graph
from lamella.engine.symbolic import SymbolicTensor, symbolic_input

ALL = [("", *each) for each in op_cases.CASES + nn_cases.CASES] + [("image", *each) for each in nn_cases.IMAGE_CASES]
# Shapes that are data: no symbolic tensor can have them
FROM_DATA = {"nonzero", "unique", "bincount", "ndim"}


def find(module, room, name):
    return getattr(getattr(module, room) if room else module, name)


def label(value):
    return value if isinstance(value, str) else None


def leaves(found):
    return [each for each in tree.flatten(found) if each is not None]


def compare(ours, theirs, tolerance=3e-5):
    ours, theirs = leaves(ours), leaves(theirs)
    assert len(ours) == len(theirs)
    for one, other in zip(ours, theirs, strict=True):
        if not isinstance(other, torch.Tensor):
            assert one == other
            continue
        assert tuple(one.shape) == tuple(other.shape)
        assert one.dtype == other.dtype
        one, other = (
            each.detach().to(torch.complex128 if each.is_complex() else torch.float64) for each in (one, other)
        )
        np.testing.assert_allclose(one.numpy(), other.numpy(), rtol=tolerance, atol=tolerance)


@pytest.mark.filterwarnings("ignore:.*T.*deprecated:UserWarning")  # Keras's count_nonzero
@pytest.mark.parametrize(("room", "name", "args", "kwargs"), ALL, ids=label)
def test_values_types_and_shapes(room, name, args, kwargs):
    theirs = as_tensors((args, kwargs), False)  # not every op of Keras on torch takes arrays
    compare(find(ops, room, name)(*args, **kwargs), find(keras.ops, room, name)(*theirs[0], **theirs[1]))


def as_tensors(structure, needs_grad):
    def convert(x):
        if not isinstance(x, np.ndarray):
            return x
        return torch.tensor(x, requires_grad=needs_grad and x.dtype == np.float32)

    return tree.map_structure(convert, structure)


NO_GRADIENT = {"floor_divide", "heaviside", "histogram", "bincount"}  # torch has none


def gradients(module, room, name, args, kwargs):
    args, kwargs = as_tensors((args, kwargs), True)
    inputs = [x for x in leaves((args, kwargs)) if isinstance(x, torch.Tensor) and x.requires_grad]
    found = find(module, room, name)(*args, **kwargs)
    outputs = [y for y in leaves(found) if isinstance(y, torch.Tensor) and y.requires_grad]
    torch.manual_seed(0)
    loss = sum(((y.real if y.is_complex() else y) * torch.randn(y.shape)).sum() for y in outputs)
    grads = torch.autograd.grad(loss, inputs, allow_unused=True) if outputs else []
    return [torch.zeros(()) if grad is None else torch.nan_to_num(grad) for grad in grads]


@pytest.mark.filterwarnings("ignore:.*T.*deprecated:UserWarning")
@pytest.mark.parametrize(
    ("room", "name", "args", "kwargs"),
    [each for each in ALL if each[1] not in NO_GRADIENT and each[3].get("mode") != "complete"],
    ids=label,
)
def test_gradients(room, name, args, kwargs):
    ours = gradients(ops, room, name, args, kwargs)
    try:
        theirs = gradients(keras.ops, room, name, args, kwargs)
    except RuntimeError as error:  # Keras writes in place what the gradient needs
        assert "in-place" in str(error) or "inplace" in str(error)  # noqa: PT017
        assert all(torch.isfinite(one).all() for one in ours)
        return
    assert len(ours) == len(theirs)
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(*torch.broadcast_tensors(one, other), rtol=2e-3, atol=2e-3)


def symbolic_cases():
    for room, name, args, kwargs in ALL:
        inputs = [x for x in leaves((args, kwargs)) if isinstance(x, np.ndarray)]
        sized_by_data = (name == "where" and len(args) == 1) or (name == "segment_sum" and not kwargs)
        known = name not in FROM_DATA and name != "extract_patches_3d"  # which is extract_patches with another size
        if inputs and known and not sized_by_data:
            yield room, name, args, kwargs


@pytest.mark.parametrize(("room", "name", "args", "kwargs"), list(symbolic_cases()), ids=label)
def test_symbolic(room, name, args, kwargs):
    function = find(ops, room, name)
    inputs, values = [], []

    def convert(x):
        if not isinstance(x, np.ndarray):
            return x
        inputs.append(symbolic_input(x.shape, str(x.dtype)) if x.dtype.kind != "c" else symbolic_complex(x))
        values.append(torch.tensor(x))
        return inputs[-1]

    given_args, given_kwargs = tree.map_structure(convert, (args, kwargs))
    outputs = function(*given_args, **given_kwargs)
    expected = function(*as_tensors(args, False), **as_tensors(kwargs, False))
    symbols = leaves(outputs)
    assert all(isinstance(symbol, SymbolicTensor) for symbol in symbols)
    assert [symbol.shape for symbol in symbols] == [tuple(each.shape) for each in leaves(expected)]
    assert [symbol.dtype for symbol in symbols] == [each.dtype for each in leaves(expected)]
    nodes = {id(symbol.node): symbol.node for symbol in symbols}
    assert len(nodes) == 1  # the op is one node, under its name
    (node,) = nodes.values()
    assert node.function is function
    assert node.name.startswith(function.__name__)
    graph = Graph(inputs, list(symbols))
    if len({id(each) for each in values}) == len(inputs):
        compare(graph(values), list(leaves(expected)))


def symbolic_complex(x):
    return SymbolicTensor(tuple(torch.empty(x.shape, dtype=torch.complex64, device="meta") for _ in range(2)))


NEWER_ARGUMENTS = {("top_k", "is_stable")}
NEWER = {"column_stack", "gammainc", "matrix_power", "reconstruct_patches"}  # from Keras 3.16 on


def test_every_public_name_is_there_and_tested():
    for room in ("", "nn", "numpy", "linalg", "image"):
        theirs = getattr(keras.ops, room) if room else keras.ops
        ours = getattr(ops, room) if room else ops
        names = {name for name in dir(theirs) if not name.startswith("_")}
        assert names - set(dir(ours)) == set()
        assert set(ours.__all__) - names <= NEWER
    tested = {name for _, name, _, _ in ALL}
    elsewhere = op_cases.words(
        """associative_scan cond convert_to_numpy custom_gradient dtype empty empty_like fori_loop is_tensor jvp map
        scan shape switch vectorize vectorized_map while_loop nextafter argpartition eig image linalg nn numpy"""
    )
    assert {name for name in dir(keras.ops) if not name.startswith("_")} - tested == set(elsewhere)


@pytest.mark.parametrize("room", ["", "nn", "numpy", "linalg", "image"])
def test_arguments_are_keras_s(room):
    import inspect

    theirs = getattr(keras.ops, room) if room else keras.ops
    ours = getattr(ops, room) if room else ops
    for name in dir(theirs):
        if name.startswith("_") or not callable(getattr(theirs, name)):
            continue
        one, other = (
            [(p.name, p.default, p.kind) for p in inspect.signature(getattr(module, name)).parameters.values()]
            for module in (ours, theirs)
        )
        assert [each for each in one if (name, each[0]) not in NEWER_ARGUMENTS] == other, name


def test_a_model_of_ops(rng):
    inputs = lamella.Input((4,))
    hidden = ops.relu(ops.matmul(inputs, np.ones((4, 3), "float32")))
    assert hidden.shape == (None, 3)
    assert hidden.name.startswith("relu")
    parts = [ops.mean(hidden, axis=-1, keepdims=True), ops.sum(inputs, axis=-1, keepdims=True)]
    outputs = ops.concatenate(parts, axis=-1)
    assert outputs.shape == (None, 2)
    model = lamella.Model(inputs, outputs)
    x = rng.normal(size=(5, 4)).astype("float32")
    hidden = np.maximum(x @ np.ones((4, 3), "float32"), 0)
    np.testing.assert_allclose(
        model.predict(x, verbose=0), np.stack([hidden.mean(1), x.sum(1)], 1), rtol=1e-5, atol=1e-5
    )
