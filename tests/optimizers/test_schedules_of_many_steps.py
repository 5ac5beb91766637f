"""Schedules answer for many steps at once, as the plots of tutorials ask them."""

import numpy as np
import torch

from lamella.optimizers import schedules


def test_a_rate_for_each_step():
    schedule = schedules.InverseTimeDecay(0.1, decay_steps=10, decay_rate=1.0)
    found = schedule(np.array([[0.0, 10.0], [20.0, 30.0]]))
    assert found.shape == (2, 2) and np.allclose(found, [[0.1, 0.05], [0.1 / 3, 0.025]])
    assert schedules.CosineDecay(1.0, 10)(torch.tensor([0, 10])).tolist() == [1.0, 0.0]
    assert isinstance(schedule(torch.tensor(10)), float)
