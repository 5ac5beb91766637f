"""A row in plain torch: the loop of the tutorials, and the best loop that we could write by hand."""

import ctypes
import sys
import time
from collections.abc import Iterator

import torch
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

# Keras's defaults are said aloud here, so that every peer computes the same.
OPTIMIZERS = {
    "adam": (torch.optim.Adam, {"lr": 1e-3, "eps": 1e-7}),
    "adamw": (torch.optim.AdamW, {"lr": 1e-3, "eps": 1e-7, "weight_decay": 0.1}),
    "sgd": (torch.optim.SGD, {"lr": 0.01, "momentum": 0.9}),
}


class TutorialBench:
    """``DataLoader``, ``backward``, ``step``, and ``item()`` for the running loss and accuracy."""

    note = ""

    def __init__(self, row, steps: int, device: str = "cpu"):
        torch.manual_seed(0)
        self.device = device
        x, y = map(torch.from_numpy, row.data(steps * row.BATCH))
        if x.dim() == 4:
            x = x.permute(0, 3, 1, 2).contiguous()
        self.loader = DataLoader(TensorDataset(x, y), batch_size=row.BATCH, shuffle=True)
        self.answers = y.numel()
        self.model = start_as_keras_does(row.tutorial(torch)).to(device)
        self.parameters = sum(p.numel() for p in self.model.parameters())
        optimizer, settings = OPTIMIZERS[row.OPTIMIZER]
        self.optimizer = optimizer(self.model.parameters(), **settings)
        self.loss = torch.nn.CrossEntropyLoss()
        self.epoch()

    def epoch(self) -> tuple[float, float]:
        self.model.train()
        total, correct = 0.0, 0.0
        for x, y in self.loader:
            x, y = x.to(self.device), y.to(self.device)
            self.optimizer.zero_grad()
            logits, y = self.model(x).flatten(0, -2), y.flatten()
            loss = self.loss(logits, y)
            loss.backward()
            self.optimizer.step()
            total += loss.item()
            correct += (logits.argmax(1) == y).type(torch.float).sum().item()
        return total / len(self.loader), correct / self.answers


class LeanAdam:
    """Adam as one call of torch's fused kernel, without the bookkeeping of ``torch.optim``."""

    def __init__(self, parameters: list[torch.Tensor], lr: float, eps: float):
        self.parameters = parameters
        self.means = [torch.zeros_like(p) for p in parameters]
        self.squares = [torch.zeros_like(p) for p in parameters]
        self.steps = [torch.zeros((), device=p.device) for p in parameters]
        self.settings = {"lr": lr, "beta1": 0.9, "beta2": 0.999, "eps": eps, "weight_decay": 0.0}
        self.settings |= {"amsgrad": False, "maximize": False}

    @torch.no_grad()
    def update(self, gradients: tuple[torch.Tensor, ...]) -> None:
        torch._foreach_add_(self.steps, 1)
        torch._fused_adam_(self.parameters, gradients, self.means, self.squares, [], self.steps, **self.settings)


class FusedOptimizer:
    """An optimizer of ``torch.optim`` with its fused kernel, fed from a list of gradients."""

    def __init__(self, parameters: list[torch.Tensor], kind: str):
        optimizer, settings = OPTIMIZERS[kind]
        self.parameters = parameters
        self.optimizer = optimizer(parameters, fused=True, **settings)

    def update(self, gradients: tuple[torch.Tensor, ...]) -> None:
        for parameter, gradient in zip(self.parameters, gradients, strict=True):
            parameter.grad = gradient
        self.optimizer.step()


class BestBench:
    """The lean loop: data indexed in memory, gradients as a flat list, a fused update, sums kept as tensors.

    Which library multiplies matrices, MKL or oneDNN, is decided by a race on this row: it depends on the CPU.
    """

    def __init__(self, row, steps: int, compiled: bool = False, device: str = "cpu"):
        keep_freed_memory()
        self.device = device
        self.x, self.y = (torch.from_numpy(part).to(device) for part in row.data(steps * row.BATCH))
        self.batch = row.BATCH
        self.note = ""
        if device == "cpu":
            self._start(row, compiled)
            self.note = self._choose_matrix_library()
        self._start(row, compiled)
        self.parameters = sum(p.numel() for p in self.weights)

    def _start(self, row, compiled: bool) -> None:
        """A fresh model, one epoch old like everybody's."""
        torch.manual_seed(0)
        self.model = start_as_keras_does(row.best(torch)).train().to(self.device)
        self.weights = list(self.model.parameters())
        self.optimizer = make_lean_optimizer(row.OPTIMIZER, self.weights)
        if compiled:
            self.model = torch.compile(self.model, mode="reduce-overhead" if self.device == "cuda" else None)
        self.epoch()

    def epoch(self) -> tuple[float, float]:
        loss_sum = torch.zeros((), device=self.device)
        correct = torch.zeros((), dtype=torch.long, device=self.device)
        for x, y in self._batches():
            logits = self.model(x).flatten(0, -2)
            loss = F.cross_entropy(logits, y)
            self.optimizer.update(torch.autograd.grad(loss, self.weights))
            loss_sum += loss.detach()
            correct += torch.count_nonzero(logits.detach().argmax(1) == y)
        return loss_sum.item() * self.batch / len(self.x), correct.item() / self.y.numel()

    def _batches(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Shuffled batches, gathered sixteen at a time and handed out as views."""
        for places in torch.randperm(len(self.x), device=self.device).split(16 * self.batch):
            x, y = self.x.index_select(0, places), self.y.index_select(0, places)
            for inputs, labels in zip(x.split(self.batch), y.split(self.batch), strict=True):
                yield inputs, labels.flatten()

    def _choose_matrix_library(self) -> str:
        if not onednn_is_accurate():
            return "MKL (oneDNN would round to bfloat16)"
        seconds = {"none": [], "bf16": []}
        for _ in range(3):
            for setting, measured in seconds.items():
                torch.backends.mkldnn.matmul.fp32_precision = setting
                started = time.perf_counter()
                self.epoch()
                measured.append(time.perf_counter() - started)
        chosen = min(seconds, key=lambda setting: min(seconds[setting]))
        torch.backends.mkldnn.matmul.fp32_precision = chosen
        gain = min(seconds["none"]) / min(seconds["bf16"])
        return f"{'oneDNN' if chosen == 'bf16' else 'MKL'} (MKL/oneDNN time: {gain:.2f})"


def start_as_keras_does(model: torch.nn.Module) -> torch.nn.Module:
    """Glorot's uniform weights and biases of zero, so that the losses of all peers can be compared."""
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if weight.dim() > 1:
                torch.nn.init.xavier_uniform_(weight)
            elif "bias" in name:
                weight.zero_()
    return model


def make_lean_optimizer(kind: str, parameters: list[torch.Tensor]) -> LeanAdam | FusedOptimizer:
    if kind == "adam":
        return LeanAdam(parameters, **OPTIMIZERS["adam"][1])
    return FusedOptimizer(parameters, kind)


def keep_freed_memory() -> None:
    """Let glibc keep what is freed: else the kernel maps, and zeroes, each step's large tensors anew."""
    if sys.platform == "linux":
        trim_threshold, mmap_threshold = -1, -3  # from malloc.h
        libc = ctypes.CDLL(None)
        if hasattr(libc, "mallopt"):
            libc.mallopt(mmap_threshold, 2**30)
            libc.mallopt(trim_threshold, 2**31 - 1)


def onednn_is_accurate() -> bool:
    """Whether oneDNN's matrix product, when bfloat16 is allowed, still computes in float32 on this CPU."""
    a, b = torch.randn(256, 512), torch.randn(512, 256)
    exact = a.double() @ b.double()
    torch.backends.mkldnn.matmul.fp32_precision = "bf16"
    error = (a @ b - exact).norm() / exact.norm()
    torch.backends.mkldnn.matmul.fp32_precision = "none"
    return error.item() < 2e-6
