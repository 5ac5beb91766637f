"""Functional models of ops as plain data and back: the same numbers, in the terms of Keras's operation classes."""

import importlib
import inspect
import json

import keras
import numpy as np
import pytest
import torch
from keras import tree
from keras.src.ops.operation import Operation
from test_ops_like_keras import find, label, leaves, symbolic_cases

import lamella
from lamella import ops
from lamella.training import operations
from lamella.training.keras_operations import FUNCTIONS, MODULES, is_call_argument

AROUND = ("self", "name", "kwargs", "axes_lengths")


def made(library, room, name, args, kwargs):
    """A model of one op, and the arrays that go into it."""
    inputs, values = [], []

    def convert(x):
        if not isinstance(x, np.ndarray) or x.dtype.kind == "c" or x.ndim == 0:
            return x
        inputs.append(library.Input(batch_shape=x.shape, dtype=str(x.dtype)))
        values.append(torch.tensor(x))
        return inputs[-1]

    args, kwargs = tree.map_structure(convert, (args, kwargs))
    outputs = find(library.ops, room, name)(*args, **kwargs)
    return library.Model(inputs, outputs), values


def same(one, other):
    for a, b in zip(leaves(one), leaves(other), strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)


def takes_arrays(args, kwargs):
    return any(isinstance(x, np.ndarray) and x.dtype.kind != "c" and x.ndim for x in tree.flatten((args, kwargs)))


CASES = [each for each in symbolic_cases() if takes_arrays(*each[2:])]


@pytest.mark.parametrize(("room", "name", "args", "kwargs"), CASES, ids=label)
def test_what_is_written_computes_the_same(room, name, args, kwargs):
    model, values = made(lamella, room, name, args, kwargs)
    again = lamella.Model.from_config(json.loads(json.dumps(model.get_config())))
    same(model(values), again(values))


@pytest.mark.parametrize(
    "function",
    [
        lambda x, y: (x & y, x | y, x ^ y, ~x),
        lambda x, y: ((x > 0) & (y > 0), (x > 0) | (y > 0), (x > 0) ^ (y > 0), ~(x > 0)),
        lambda x, y: (ops.logical_and(x, y), ops.logical_not(x), ops.logical_xor(x, y)),
        lambda x, y: (abs(x), ops.abs(x > 0), x // y, x % y, -x, x**2, ops.matmul(x, ops.cast(y, "float32"))),
    ],
)
def test_operators_of_numbers_and_of_truths(function):
    x, y = lamella.Input((3,), dtype="int32"), lamella.Input((3,), dtype="int32")
    model = lamella.Model([x, y], list(function(x, y)))
    again = lamella.Model.from_config(json.loads(json.dumps(model.get_config())))
    values = [torch.tensor(rows, dtype=torch.int32) for rows in ([[0, 5, 6], [1, 0, -3], [7, 2, 1]], [[3, 1, 4]] * 3)]
    same(model(values), again(values))
    theirs = keras.Model.from_config(json.loads(json.dumps(model.get_config())))
    same(model(values), theirs(values))


QKV = [np.random.default_rng(i).normal(size=(2, 5, 4, 8)).astype("float32") for i in range(3)]
BOTH_WAYS = [
    ("", "dot_product_attention", QKV, {"mask": np.tril(np.ones((2, 4, 5, 5), bool))}),
    ("", "dot_product_attention", QKV, {"scale": 0.3}),
    ("", "quantile", [QKV[0], 0.3], {"axis": 1}),
    ("", "reshape", [QKV[0], 320], {}),
    ("", "layer_normalization", [QKV[0]], {}),
    ("", "rms_normalization", [QKV[0]], {}),
    ("", "meshgrid", [QKV[0][0, 0, 0], QKV[1][0, 0, 0]], {"indexing": "ij"}),
    ("", "array", [QKV[0]], {}),
    ("", "stop_gradient", [QKV[0]], {}),
    (
        "image",
        "scale_and_translate",
        [QKV[0], (2, 3, 4, 8), np.float32([0.5, 0.8]), np.float32([0, 1]), (1, 2), "linear"],
        {},
    ),
    ("image", "extract_patches_3d", [QKV[0][..., None], 2], {}),
]


@pytest.mark.parametrize(("room", "name", "args", "kwargs"), BOTH_WAYS, ids=label)
def test_keras_reads_and_writes_the_same(room, name, args, kwargs):
    ours, values = made(lamella, room, name, args, kwargs)
    theirs, _ = made(keras, room, name, args, kwargs)
    expected = leaves(ours(values))
    for model in (keras.Model.from_config(ours.get_config()), lamella.Model.from_config(theirs.get_config())):
        for one, other in zip(leaves(model(values)), expected, strict=True):
            np.testing.assert_allclose(one.detach(), other.detach(), rtol=1e-5, atol=1e-5)


def classes():
    rooms = ("numpy", "nn", "math", "linalg", "image", "core", "einops")
    for module in (importlib.import_module(f"keras.src.ops.{room}") for room in rooms):
        for name, made in vars(module).items():
            own = inspect.isclass(made) and made.__module__ == module.__name__ and issubclass(made, Operation)
            if own and name in MODULES:
                yield name, made


def arguments(function):
    return [each for each in inspect.signature(function).parameters if each not in AROUND]


def test_every_class_is_made_and_called_with_what_keras_s_is():
    newer = {("TopK", "is_stable"), ("LayerNorm", "rms_scaling")}  # of Keras 3.16; of its function's further arguments
    for name, theirs in classes():
        assert MODULES[name] == theirs.__module__
        ours, called = arguments(operations._op(FUNCTIONS.get(name) or name)), arguments(theirs.call)
        assert [each for each in ours if is_call_argument(name, each)] == called, name
        made = [] if theirs.__init__ is Operation.__init__ else arguments(theirs.__init__)
        assert all((name, each) in newer for each in set(made) ^ (set(ours) - set(called))), name


def test_every_class_of_keras_is_known():
    unknown = {"SegmentReduction", "JVP"}  # the first is made by its functions only, the other takes a function
    unknown |= {"Map", "Scan", "AssociativeScan", "Switch", "WhileLoop", "ForiLoop", "Cond", "VectorizedMap"}
    rooms = [importlib.import_module(module) for module in set(MODULES.values())]
    names = {
        name
        for room in rooms
        for name, each in vars(room).items()
        if inspect.isclass(each) and issubclass(each, Operation) and each.__module__ == room.__name__
    }
    assert names - set(MODULES) == unknown
