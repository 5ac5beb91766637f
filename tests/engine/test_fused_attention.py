"""The fused kernel under either library of matrices: the same numbers, and the choice is left as it was."""

import pytest
import torch
import torch.nn.functional as F

from lamella.engine.fused_attention import fused_attention
from lamella.engine.kernels import choose_matmul, chosen_matmul, onednn_is_accurate


@pytest.fixture
def quick_library():
    if not onednn_is_accurate():
        pytest.skip("this processor's oneDNN rounds float32 products, or cannot be chosen")
    before = chosen_matmul()
    choose_matmul("bf16")
    yield
    choose_matmul(before)


@pytest.mark.parametrize("length", [4, 300])
def test_output_and_gradients_are_those_of_torch(quick_library, length):
    parts = [torch.randn(2, 3, length, 16, dtype=torch.float32) for _ in range(3)]
    ours, theirs = ([part.clone().requires_grad_() for part in parts] for _ in range(2))
    found = fused_attention(*ours, is_causal=True)
    assert chosen_matmul() == "bf16"
    wanted = F.scaled_dot_product_attention(*theirs, is_causal=True)
    torch.testing.assert_close(found, wanted, atol=2e-5, rtol=2e-5)
    weights = torch.randn_like(found)
    gradients = torch.autograd.grad((found * weights).sum(), ours)
    assert chosen_matmul() == "bf16"
    for gradient, reference in zip(gradients, torch.autograd.grad((wanted * weights).sum(), theirs), strict=True):
        torch.testing.assert_close(gradient, reference, atol=1e-4, rtol=1e-4)


def test_a_refused_input_leaves_the_choice(quick_library):
    with pytest.raises(RuntimeError):
        fused_attention(torch.zeros(2, 3, 300, 16), torch.zeros(2, 3, 300, 17), torch.zeros(2, 3, 300, 16))
    assert chosen_matmul() == "bf16"
