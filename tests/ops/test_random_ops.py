"""Ops with arguments drawn by chance against real Keras: values, types, shapes, gradients; and on symbolic tensors."""

import warnings
import zlib

import keras
import numpy as np
import pytest
import torch
from drawn_ops import DRAWN, Draw
from keras import tree

from lamella import ops
from lamella.engine.symbolic import symbolic_input

FEW, MANY = range(8), pytest.param(range(8, 300), marks=pytest.mark.slow)
NO_GRADIENT = {"median", "quantile", "percentile"}  # of several that are equal, Keras on torch takes another one


def made(structure, take):
    return tree.map_structure(lambda x: take(x) if isinstance(x, np.ndarray) else x, structure)


def computed(room, name, args, kwargs):
    """The outputs as a list, and the gradients by the arrays of floats."""
    leaves = []

    def take(x):
        leaves.append(torch.tensor(x, requires_grad=x.dtype == np.float32))
        return leaves[-1]

    outputs = tree.flatten(getattr(room, name)(*made(args, take), **made(kwargs, take)))
    inputs = [leaf for leaf in leaves if leaf.requires_grad]
    with_gradient = [output for output in outputs if output.requires_grad]
    if not inputs or not with_gradient or name in NO_GRADIENT:
        return outputs, []
    loss = sum((each.double() * torch.linspace(1, 2, each.numel()).reshape(each.shape)).sum() for each in with_gradient)
    return outputs, torch.autograd.grad(loss, inputs, allow_unused=True, materialize_grads=True)


def close(one, other, tolerance):
    torch.testing.assert_close(one, other, rtol=tolerance, atol=tolerance, equal_nan=True)


@pytest.mark.parametrize("seeds", [FEW, MANY], ids=["few", "many"])
@pytest.mark.parametrize("name", DRAWN)
def test_like_keras(name, seeds):
    compared = 0
    for seed in seeds:
        args, kwargs = DRAWN[name](Draw(seed, zlib.crc32(name.encode())))
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                theirs, their_grads = computed(keras.ops, name, args, kwargs)
        except (RuntimeError, TypeError, NotImplementedError, IndexError, ValueError):
            continue  # not every op of Keras on torch takes every type
        ours, our_grads = computed(ops, name, args, kwargs)
        compared += 1
        tolerance = 6e-3 if any(leaf.dtype is torch.float16 for leaf in ours) or "float16" in str(args) else 1e-4
        assert len(ours) == len(theirs), seed
        for one, other in zip(ours, theirs, strict=True):
            close(one.detach(), other.detach(), tolerance)
        for one, other in zip(our_grads, their_grads, strict=True):
            close(one, other, tolerance)
    assert compared


@pytest.mark.parametrize("seeds", [FEW, MANY], ids=["few", "many"])
@pytest.mark.parametrize("name", DRAWN)
def test_symbolic(name, seeds):
    for seed in seeds:
        args, kwargs = DRAWN[name](Draw(seed, zlib.crc32(name.encode())))
        try:
            expected = tree.flatten(getattr(ops, name)(*made(args, torch.tensor), **made(kwargs, torch.tensor)))
        except (RuntimeError, ValueError):
            continue
        known = {"repeat", "slice", "scatter_update"}  # whose further arrays are data
        first = [args[0]] if name in known else args

        def symbol(x):
            return symbolic_input(x.shape, str(x.dtype))

        given = (*made(tuple(first), symbol), *args[len(first) :])
        found = tree.flatten(getattr(ops, name)(*given, **kwargs))
        assert [each.shape for each in found] == [tuple(each.shape) for each in expected], seed
        assert [each.dtype for each in found] == [each.dtype for each in expected], seed
