"""Losses inside torch's machinery: no reading of values, function transforms, `torch.compile`."""

from __future__ import annotations

import pytest
import torch
from loss_cases import CASES, IDS, inputs

from lamella import losses

CAPTURABLE = [(case, name) for case, name in zip(CASES, IDS, strict=True) if case[0] != "CTC"]
capturable = pytest.mark.parametrize("case", [c for c, _ in CAPTURABLE], ids=[n for _, n in CAPTURABLE])


def made(case, **more):
    name, kwargs, kind = case
    return (getattr(losses, name)(**kwargs, **more), *(torch.tensor(x) for x in inputs(kind)))


@capturable
@pytest.mark.parametrize("weighted", [False, True])
def test_no_value_is_read(case, weighted):
    """On meta tensors there is no value to read: what runs there waits for no device and can be captured."""
    loss, y_true, y_pred = made(case)
    weight = None
    if weighted:
        weight = torch.ones(len(loss.call(y_true, y_pred)) if loss.call(y_true, y_pred).ndim else (), device="meta")
    y_pred = y_pred.to("meta").requires_grad_()
    value = loss(y_true.to("meta"), y_pred, weight)
    assert value.shape == ()
    assert torch.autograd.grad(value, y_pred)[0].shape == y_pred.shape


@capturable
def test_function_transforms(case):
    loss, y_true, y_pred = made(case)
    leaf = y_pred.clone().requires_grad_()
    expected = torch.autograd.grad(loss(y_true, leaf), leaf)[0]
    torch.testing.assert_close(torch.func.grad(loss, argnums=1)(y_true, y_pred), expected)
    many = torch.stack([y_pred, y_pred * 0.5])
    values = torch.func.vmap(loss, in_dims=(None, 0))(y_true, many)
    torch.testing.assert_close(values, torch.stack([loss(y_true, each) for each in many]))


PER_SAMPLE = [
    ("MeanSquaredError", {}, "real"),
    ("BinaryCrossentropy", {}, "binary"),
    ("CategoricalCrossentropy", {}, "one_hot"),
    ("CategoricalCrossentropy", {"from_logits": True}, "one_hot_logits"),
    ("SparseCategoricalCrossentropy", {}, "sparse"),
    ("SparseCategoricalCrossentropy", {"from_logits": True}, "sparse_logits"),
]


@pytest.mark.parametrize("case", PER_SAMPLE, ids=str)
def test_one_sample_at_a_time(case):
    """Under vmap over the batch a loss sees one sample without a batch axis."""
    loss, y_true, y_pred = made(case)
    values = torch.func.vmap(loss)(y_true, y_pred)
    torch.testing.assert_close(values, made(case, reduction="none")[0](y_true, y_pred))


COMPILED = [
    "MeanSquaredError",
    "BinaryCrossentropy",
    "CategoricalCrossentropy",
    "SparseCategoricalCrossentropy",
    "Hinge",
]


@pytest.mark.parametrize("case", [c for c in CASES if c[0] in COMPILED and len(c[1]) < 2], ids=str)
def test_compiles_as_one_graph(case):
    loss, y_true, y_pred = made(case)
    torch.compiler.reset()
    compiled = torch.compile(lambda y, p: loss(y, p * 1.0), backend="eager", fullgraph=True)
    torch.testing.assert_close(compiled(y_true, y_pred), loss(y_true, y_pred))


@pytest.mark.parametrize("name", ["CategoricalCrossentropy", "SparseCategoricalCrossentropy"])
def test_compiles_after_a_softmax(name):
    from lamella import activations

    loss, y_true, logits = made((name, {}, "sparse_logits" if name.startswith("Sparse") else "one_hot_logits"))
    torch.compiler.reset()
    compiled = torch.compile(lambda y, x: loss(y, activations.softmax(x)), backend="eager")
    torch.testing.assert_close(compiled(y_true, logits.requires_grad_()), loss(y_true, logits.softmax(-1)))


@pytest.mark.parametrize(
    ("name", "kind", "kernel"),
    [
        ("MeanSquaredError", "real", "aten::mse_loss"),
        ("Huber", "real", "aten::huber_loss"),
        ("BinaryCrossentropy", "binary_logits", "aten::binary_cross_entropy_with_logits"),
        ("CategoricalCrossentropy", "one_hot_logits", "aten::cross_entropy_loss"),
        ("SparseCategoricalCrossentropy", "sparse_logits", "aten::cross_entropy_loss"),
    ],
)
def test_the_mean_is_one_kernel(name, kind, kernel):
    kwargs = {"from_logits": True} if kind.endswith("logits") else {}
    loss, y_true, y_pred = made((name, kwargs, kind))
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
        loss(y_true, y_pred)
    top = [event.name for event in profile.events() if event.cpu_parent is None]
    # torch's own Python code asks for the common shape first, which computes nothing.
    assert [name for name in top if name.startswith("aten::") and "broadcast" not in name][:1] == [kernel]
    assert len(top) <= 2 or name == "Huber"  # torch takes Huber's mean apart


def test_no_copy_of_class_weights_at_each_step():
    """A list of weights goes to the device once: a copy at each step would wait and cannot be captured."""
    loss, y_true, y_pred = made(("CategoricalFocalCrossentropy", {"alpha": [0.1, 0.2, 0.3, 0.4]}, "one_hot"))
    loss(y_true, y_pred)
    kept = loss._weight
    loss(y_true, y_pred)
    assert loss._weight is kept
    assert loss.alpha == [0.1, 0.2, 0.3, 0.4] == loss.get_config()["alpha"]
