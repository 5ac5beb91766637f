"""Attention in blocks of queries: the numbers of torch's kernel, and only where it is the quicker one."""

import pytest
import torch
import torch.nn.functional as F

import lamella
from lamella.engine import blocked_attention
from lamella.engine.fused_attention import fused_attention


def parts(queries, keys=None, *, size=8, value_size=None, heads=3, dtype=torch.float64):
    torch.manual_seed(0)
    keys = keys or queries

    def numbers(length, width):  # as layers have them: heads beside the size in memory
        return torch.randn(2, length, heads, width, dtype=dtype).transpose(1, 2).requires_grad_()

    return numbers(queries, size), numbers(keys, size), numbers(keys, value_size or size)


def both(given, causal, scale=None):
    found = blocked_attention.attention(*given, causal, scale)
    wanted = F.scaled_dot_product_attention(*given, is_causal=causal, scale=scale)
    gradient = torch.randn_like(found)
    return [
        (found, *torch.autograd.grad(found, given, gradient)),
        (wanted, *torch.autograd.grad(wanted, given, gradient)),
    ]


@pytest.mark.parametrize("scale", [None, 0.3])
@pytest.mark.parametrize("length", [1, 5, 64, 65, 130, 259])
def test_causal_values_and_gradients(length, scale):
    for mine, theirs in zip(*both(parts(length), True, scale), strict=True):
        torch.testing.assert_close(mine, theirs)


@pytest.mark.parametrize(("queries", "keys", "value_size"), [(7, 7, None), (70, 5, None), (5, 90, 4)])
def test_values_and_gradients_without_a_causal_mask(queries, keys, value_size):
    for mine, theirs in zip(*both(parts(queries, keys, value_size=value_size), False), strict=True):
        torch.testing.assert_close(mine, theirs)


def test_as_accurate_as_float32_is():
    given = parts(256, size=64, dtype=torch.float32)
    mine, _ = both(given, True)
    exact = [part.detach().double().requires_grad_() for part in given]
    truth = F.scaled_dot_product_attention(*exact, is_causal=True)
    torch.manual_seed(1)
    assert (mine[0].double() - truth).norm() / truth.norm() < 2e-6


def test_gradients_pass_the_check_by_differences():
    given = parts(6, size=3)
    assert torch.autograd.gradcheck(lambda *qkv: blocked_attention.attention(*qkv, True, None), given)


def test_no_query_learns_from_what_comes_after_it():
    given = parts(200)
    found = blocked_attention.attention(*given, True, None)
    for gradient in torch.autograd.grad(found[:, :, :100].sum(), given):
        assert not gradient[:, :, 100:].any()


@pytest.fixture
def taken(monkeypatch):
    calls = []
    own = blocked_attention.attention
    monkeypatch.setattr(blocked_attention, "attention", lambda *given: calls.append(1) or own(*given))
    return calls


def wide(length=256, **other):
    return parts(length, size=64, dtype=torch.float32, **other)


def test_taken_for_training_on_sequences_of_middle_length(taken):
    given = wide()
    found = fused_attention(*given, is_causal=True)
    assert taken == [1]
    torch.testing.assert_close(found, F.scaled_dot_product_attention(*given, is_causal=True), atol=1e-5, rtol=1e-5)
    fused_attention(*wide(128, heads=8), is_causal=False)
    assert len(taken) == 2


@pytest.mark.parametrize(
    "options", [{"attn_mask": torch.zeros(256, 256)}, {"dropout_p": 0.5}, {"is_causal": False}, {"enable_gqa": True}]
)
def test_not_taken_with_what_it_does_not_know(taken, options):
    fused_attention(*wide(), **{"is_causal": "attn_mask" not in options, **options})
    assert not taken


def test_not_taken_where_the_fused_kernel_is_better(taken):
    with torch.no_grad():
        fused_attention(*wide(), is_causal=True)  # nothing is kept for a gradient anyway
    fused_attention(*wide(32), is_causal=True)
    fused_attention(*parts(1024, size=32, dtype=torch.float32), is_causal=True)  # too much would be kept
    fused_attention(*(part.double() for part in wide()), is_causal=True)
    fused_attention(*(part.to("meta") for part in wide()), is_causal=True)
    with torch.autocast("cpu", torch.bfloat16):
        fused_attention(*wide(), is_causal=True)
    query, *others = wide()
    torch.func.grad(lambda query: fused_attention(query, *others, is_causal=True).sum())(query)
    assert not taken


def test_a_layer_learns_the_same_with_it(taken, monkeypatch):
    def gradients():
        lamella.utils.set_random_seed(0)
        layer = lamella.layers.MultiHeadAttention(4, 64)
        x = torch.randn(2, 256, 32)
        found = layer(x, x, use_causal_mask=True)
        return [found, *torch.autograd.grad(found.square().sum(), list(layer.parameters()))]

    mine = gradients()
    assert taken
    monkeypatch.setattr(blocked_attention, "pays", lambda *_: False)
    for one, other in zip(mine, gradients(), strict=True):
        torch.testing.assert_close(one, other, atol=2e-5, rtol=1e-4)
