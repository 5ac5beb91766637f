"""Every activation, value and gradient, against real Keras."""

import inspect

import numpy as np
import pytest
import torch

from lamella import activations

keras = pytest.importorskip("keras")

X = np.concatenate([np.linspace(-7, 7, 59), [-40, 40, -1.5, 1.5]]).astype("float32").reshape(-1, 3)
X = np.pad(X, ((0, 0), (0, 1)), constant_values=0.37)

CASES = [
    (name, {})
    for name in sorted(
        n for n in dir(keras.activations) if not n.startswith("_") and n not in ("get", "serialize", "deserialize")
    )
    if name not in ("threshold", "sparsemax")
] + [
    ("relu", {"negative_slope": 0.2}),
    ("relu", {"max_value": 2.0}),
    ("relu", {"negative_slope": 0.1, "max_value": 3.0, "threshold": 1.3}),
    ("leaky_relu", {"negative_slope": 0.01}),
    ("elu", {"alpha": 0.3}),
    ("celu", {"alpha": 0.3}),
    ("softmax", {"axis": 0}),
    ("log_softmax", {"axis": 0}),
    ("gelu", {"approximate": True}),
    ("glu", {"axis": 1}),
    ("squareplus", {"b": 2.0}),
    ("soft_shrink", {"threshold": 1.3}),
    ("hard_shrink", {"threshold": 1.3}),
    ("threshold", {"threshold": 1.3, "default_value": -2.0}),
]


@pytest.mark.parametrize(("name", "arguments"), CASES, ids=[f"{n}-{'-'.join(a)}" for n, a in CASES])
def test_value_and_gradient(name, arguments):
    a, b = torch.tensor(X, requires_grad=True), torch.tensor(X, requires_grad=True)
    ours, theirs = getattr(activations, name)(a, **arguments), getattr(keras.activations, name)(b, **arguments)
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)
    weights = torch.linspace(-1, 1, ours.numel()).reshape(ours.shape)
    (ours * weights).sum().backward()
    (theirs * weights).sum().backward()
    torch.testing.assert_close(a.grad, b.grad, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", sorted({name for name, _ in CASES}))
def test_names_and_arguments(name):
    function = activations.get(name)
    assert activations.get(activations.serialize(function)) is function
    theirs = list(inspect.signature(getattr(keras.activations, name)).parameters)
    assert list(inspect.signature(function).parameters) == theirs


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_sparsemax_is_the_projection_onto_the_simplex(axis):
    """By its definition: Keras on torch adds up all partial sums of the support, so that its rows exceed one."""
    x = 2 * torch.randn(5, 6, dtype=torch.float64, requires_grad=True)
    p = activations.sparsemax(x, axis=axis)
    torch.testing.assert_close(p.sum(axis), torch.ones_like(p.sum(axis)))
    shift = torch.where(p > 0, x - p, -torch.inf).amax(axis, keepdim=True)
    torch.testing.assert_close(p, (x - shift).clamp(min=0))
    assert torch.autograd.gradcheck(lambda x: activations.sparsemax(x, axis=axis), x)


def test_get():
    assert activations.get(None) is activations.linear
    assert activations.get("swish") is activations.silu
    own = lambda x: x  # noqa: E731
    assert activations.get(own) is own
    with pytest.raises(ValueError, match="Did you mean 'softmax'"):
        activations.get("softmaks")
    with pytest.raises(ValueError, match="Cannot make a activation|must be callable"):
        activations.get(3)
