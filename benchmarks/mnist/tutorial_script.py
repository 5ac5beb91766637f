"""../mnist_script.py as the PyTorch tutorials would write it."""

import os
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

with np.load(Path(os.environ["KERAS_HOME"]) / "datasets" / "mnist.npz") as file:
    arrays = {name: torch.from_numpy(file[name]) for name in file.files}

train_data = TensorDataset(arrays["x_train"] / 255.0, arrays["y_train"].long())
test_data = TensorDataset(arrays["x_test"] / 255.0, arrays["y_test"].long())
train_loader = DataLoader(train_data, batch_size=32, shuffle=True)
test_loader = DataLoader(test_data, batch_size=32)

model = nn.Sequential(nn.Flatten(), nn.Linear(784, 128), nn.ReLU(), nn.Dropout(0.2), nn.Linear(128, 10))
loss_fn = nn.CrossEntropyLoss()
optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, eps=1e-7)

for epoch in range(5):
    model.train()
    total, correct = 0.0, 0.0
    for x, y in train_loader:
        optimizer.zero_grad()
        pred = model(x)
        loss = loss_fn(pred, y)
        loss.backward()
        optimizer.step()
        total += loss.item()
        correct += (pred.argmax(1) == y).type(torch.float).sum().item()
    loss, accuracy = total / len(train_loader), correct / len(train_data)
    print(f"epoch {epoch + 1} - loss: {loss:.4f} - accuracy: {accuracy:.4f}")

model.eval()
total, correct = 0.0, 0.0
with torch.no_grad():
    for x, y in test_loader:
        pred = model(x)
        total += loss_fn(pred, y).item()
        correct += (pred.argmax(1) == y).type(torch.float).sum().item()
print(f"test - loss: {total / len(test_loader):.4f} - accuracy: {correct / len(test_data):.4f}")
