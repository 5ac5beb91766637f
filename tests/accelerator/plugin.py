"""A pytest plugin: the tests run with the emulated accelerator (see `emulated.py`).

    PYTHONPATH=tests python -m pytest -p accelerator.plugin tests/layers

Tests were written for the CPU: they take NumPy arrays of results, and compute with results and tensors of the CPU
together. That is done for them here, where a test's own line asks for it; Lamella's lines get what a GPU gives. What
still fails: look where. If the last frame outside of torch is Lamella's, it is likely an error on every GPU.
"""

import functools
import sys

import torch
from accelerator import emulated
from torch.utils import _pytree as pytree

OPERATORS = "add sub mul truediv matmul pow and or eq ne lt le gt ge radd rsub rmul rtruediv rmatmul".split()
FUNCTIONS = "allclose equal einsum cat stack where matmul maximum minimum bmm".split()


def pytest_configure(config):
    emulated.install()
    for of_the_emulation in ("An output with one or more elements was resized", "0The operator"):
        config.addinivalue_line("filterwarnings", f"ignore:{of_the_emulation}:UserWarning")
    _give_arrays()
    for name in OPERATORS:
        _let_meet(torch.Tensor, f"__{name}__")
    for name in FUNCTIONS:
        _let_meet(torch, name)
    for name in ("linear", "conv1d", "conv2d", "conv3d", "mse_loss", "cross_entropy", "embedding"):
        _let_meet(torch.nn.functional, name)
    close = torch.testing.assert_close
    torch.testing.assert_close = lambda a, b, **options: close(a, b, **{"check_device": False, **options})


def _asked_by_lamella(depth):
    frame = sys._getframe(depth)
    while frame and any(part in frame.f_code.co_filename for part in ("/numpy/", "/torch/", "contextlib")):
        frame = frame.f_back
    return frame is not None and "/src/lamella/" in frame.f_code.co_filename


def _give_arrays():
    plain, as_array = torch.Tensor.numpy, torch.Tensor.__array__
    torch.Tensor.numpy = lambda self, **options: plain(self if _asked_by_lamella(2) else self.cpu(), **options)
    torch.Tensor.__array__ = lambda self, *a, **k: as_array(self if _asked_by_lamella(2) else self.cpu(), *a, **k)


def _let_meet(owner, name):
    plain = getattr(owner, name)

    @functools.wraps(plain)
    def lenient(*args, **kwargs):
        if not torch.compiler.is_compiling() and "/tests/" in sys._getframe(1).f_code.co_filename:
            tensors = [leaf for leaf in pytree.tree_leaves((args, kwargs)) if isinstance(leaf, torch.Tensor)]
            home = next((each.device for each in tensors if each.device.type != "cpu"), None)
            if home is not None:
                args, kwargs = pytree.tree_map_only(torch.Tensor, lambda each: each.to(home), (args, kwargs))
        return plain(*args, **kwargs)

    setattr(owner, name, lenient)
