"""Functional models in which torch's functions, methods and operators stand, saved and loaded."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

import lamella
from lamella.errors import ShapeError

SQUARE = torch.arange(18.0).reshape(6, 3) / 18
ARRAY = np.arange(6, dtype="float32")

CASES = {
    "slices": lambda x, y: (x[:, 1:], x[..., None], x[:, None, 1::2], x[:, -1], x[:, [0, 2]]),
    "joined": lambda x, y: (torch.cat([x, y], 1), torch.cat((x, y), dim=-1), torch.stack([x, y], dim=1)),
    "cut": lambda x, y: (x.chunk(2, dim=1)[0], torch.split(x, [1, 3], dim=1)[1], x.unbind(1)[2]),
    "shapes": lambda x, y: (x.permute(0, 2, 1), x.mT, x.flatten(1), x.unflatten(2, (2, 3)), x.expand(-1, 4, 6)),
    "its own sizes": lambda x, y: (x.view(x.size(0), -1), x.reshape(x.shape[0], 2, -1), x.expand(x.shape[0], 4, 6)),
    "reduced": lambda x, y: (
        x.mean(dim=(1, 2), keepdim=True),
        x.amax((1, 2)),
        x.var(dim=1, unbiased=False),
        x.max(1)[0],
    ),
    "types": lambda x, y: (x.to(torch.float64), x.type(torch.float64), x.int() // 2, x.half(), x.to(dtype=torch.int16)),
    "types asked for": lambda x, y: (F.softmax(x, -1, dtype=torch.float64), x.sum(1, dtype=torch.float64)),
    "numbers first": lambda x, y: (2 - x, 1 / (x + 10), 2**x, ARRAY * x, x + ARRAY),
    "constants": lambda x, y: (x @ SQUARE, F.linear(x, SQUARE.T, torch.ones(3)), torch.minimum(x, torch.tensor(0.0))),
    "truths": lambda x, y: ((x > 0) & (y > 0), ~(x > 0), (x > 0).any(dim=1), torch.where(x > 0, x, y), x.int() & 3),
    "by name": lambda x, y: (torch.sub(input=x, other=y, alpha=2), torch.addcmul(x, x, y, value=0.5), x.clamp(min=0)),
    "rooms": lambda x, y: (
        torch.linalg.vector_norm(x, dim=-1),
        torch.linalg.norm(x, dim=(1, 2)),
        torch.fft.rfft(x).abs(),
        torch.special.expit(x),
    ),
    "networks": lambda x, y: (
        F.interpolate(x, size=(12,), mode="linear", align_corners=False),
        F.scaled_dot_product_attention(x, y, y, is_causal=True),
        F.layer_norm(x, (6,)),
        F.conv1d(x, torch.ones(2, 4, 3), padding=1),
        F.gelu(x, approximate="tanh"),
        F.pad(x, (1, 1)),
    ),
    "orders": lambda x, y: (
        x.topk(2, dim=1)[0],
        torch.sort(x, dim=1, descending=True)[0],
        torch.roll(x, (1, 2), (1, 2)),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_they_compute_the_same_after_loading(name, tmp_path):
    x, y = lamella.Input((4, 6)), lamella.Input((4, 6))
    model = lamella.Model([x, y], list(CASES[name](x, y)))
    model.save(tmp_path / "m.keras")
    again = lamella.models.load_model(tmp_path / "m.keras")
    values = [torch.randn(3, 4, 6, generator=torch.Generator().manual_seed(seed)) for seed in (0, 1)]
    for symbol, one, other in zip(model.outputs, model(values), again(values), strict=True):
        assert one.shape[1:] == symbol.shape[1:]
        torch.testing.assert_close(other, one)
    if name != "numbers first":  # torch leaves `array * tensor` to NumPy
        for one, other in zip(model(values), CASES[name](*values), strict=True):
            torch.testing.assert_close(one, other)


def test_sizes_that_cannot_be():
    x = lamella.Input((4, 6))
    with pytest.raises(ShapeError, match="24 is no multiple of 7"):
        x.reshape(x.shape[0], 7, -1)
    u = lamella.Input((None, 6))
    assert lamella.ops.reshape(u, (u.shape[0], u.shape[1], 2, 3)).shape == (None, None, 2, 3)
    assert lamella.ops.reshape(u, (u.shape[0], -1, 3)).shape == (None, None, 3)
    with pytest.raises(ShapeError, match="only one dimension can be inferred"):
        u.view(u.size(0), u.size(1), 2, 3)
