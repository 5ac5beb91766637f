"""Kernels of convolutions are permuted views: optimizers update them as they lie in memory, without copies."""

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from lamella import optimizers
from lamella.optimizers.layout import all_laid_out, in_memory_order


class Copies(TorchDispatchMode):
    """Counts what makes or copies tensors."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        if function in (torch.ops.aten.clone.default, torch.ops.aten.copy_.default, torch.ops.aten.empty_like.default):
            self.seen.append(str(function))
        return function(*args, **(kwargs or {}))


def kernel(window=3):
    return torch.randn(5, window, window, 4).permute(1, 2, 3, 0)


@pytest.mark.parametrize("make", [lambda: optimizers.SGD(0.1, momentum=0.9), optimizers.Adam, optimizers.AdamW])
@pytest.mark.parametrize("window", [1, 3])
def test_updates_in_place_as_for_a_plain_weight(make, window):
    gradients = [kernel(window) for _ in range(3)]
    permuted = torch.nn.Parameter(kernel(window))
    plain = torch.nn.Parameter(permuted.detach().clone(memory_format=torch.contiguous_format))
    assert not permuted.is_contiguous() and plain.is_contiguous()
    one, other = make(), make()
    one.build([permuted])
    other.build([plain])
    address = permuted.data_ptr()
    for gradient in gradients:
        with Copies() as copies:
            one.apply([gradient])
        assert copies.seen == []
        other.apply([gradient.contiguous()])
    torch.testing.assert_close(permuted, plain, rtol=1e-6, atol=1e-7)
    assert permuted.data_ptr() == address and not permuted.is_contiguous()


def test_a_gradient_of_one_place_needs_no_copy():
    """Along an axis of length 1 a stride means nothing; torch's convolution gives another than the weight's."""
    weight = kernel(1)
    gradient = torch.randn(5, 4, 1, 1).permute(2, 3, 1, 0)
    assert gradient.stride() != weight.stride()
    [laid] = all_laid_out([gradient], [weight])
    assert laid.data_ptr() == gradient.data_ptr() and laid.stride() == weight.stride()
    torch.testing.assert_close(laid, gradient, rtol=0, atol=0)


def test_a_gradient_that_lies_otherwise_is_laid_out():
    weight, gradient = kernel(), torch.randn(3, 3, 4, 5)
    [laid] = all_laid_out([gradient], [weight])
    assert laid.stride() == weight.stride()
    torch.testing.assert_close(laid, gradient, rtol=0, atol=0)


def test_plain_weights_are_left_as_they_are():
    weights = [torch.randn(3, 4), torch.randn(4)]
    assert in_memory_order(weights, weights)[1] is weights
