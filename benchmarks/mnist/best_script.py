"""../mnist_script.py as fast as it can be written by hand in torch."""

import os
import sys
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from torch_bench import LeanAdam

with np.load(Path(os.environ["KERAS_HOME"]) / "datasets" / "mnist.npz") as file:
    arrays = {name: torch.from_numpy(file[name]) for name in file.files}
x_train, x_test = (arrays[name].flatten(1) / 255.0 for name in ("x_train", "x_test"))
y_train, y_test = (arrays[name].long() for name in ("y_train", "y_test"))

kernel1 = torch.nn.init.xavier_uniform_(torch.empty(784, 128)).requires_grad_()
kernel2 = torch.nn.init.xavier_uniform_(torch.empty(128, 10)).requires_grad_()
bias1, bias2 = torch.zeros(128, requires_grad=True), torch.zeros(10, requires_grad=True)
weights = [kernel1, bias1, kernel2, bias2]
optimizer = LeanAdam(weights, lr=1e-3, eps=1e-7)


def logits_of(x, drop):
    hidden = torch.addmm(bias1, x, kernel1).relu_()
    if drop:
        hidden = hidden * ((torch.rand_like(hidden) < 0.8) * 1.25)
    return torch.addmm(bias2, hidden, kernel2)


def batches():
    for places in torch.randperm(len(x_train)).split(16 * 32):
        x, y = x_train.index_select(0, places), y_train.index_select(0, places)
        yield from zip(x.split(32), y.split(32), strict=True)


for epoch in range(5):
    total, correct = torch.zeros(()), torch.zeros((), dtype=torch.long)
    for x, y in batches():
        logits = logits_of(x, drop=True)
        loss = F.cross_entropy(logits, y)
        optimizer.update(torch.autograd.grad(loss, weights))
        total += loss.detach()
        correct += torch.count_nonzero(logits.detach().argmax(1) == y)
    print(f"epoch {epoch + 1} - loss: {total / 1875:.4f} - accuracy: {correct / len(x_train):.4f}")

with torch.no_grad():
    logits = logits_of(x_test, drop=False)
    loss, accuracy = F.cross_entropy(logits, y_test), (logits.argmax(1) == y_test).float().mean()
print(f"test - loss: {loss:.4f} - accuracy: {accuracy:.4f}")
