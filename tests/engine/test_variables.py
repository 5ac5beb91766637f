"""Weights and states, read as arrays."""

import copy

import numpy as np
import pytest
import torch

from lamella.engine.variable import State, Weight


@pytest.mark.parametrize("kind", [Weight, State])
def test_an_array_of_a_variable_stays_as_it_is(kind):
    variable = kind(torch.ones(2))
    before = variable.numpy(), np.array(variable), np.asarray(variable), np.asarray(variable, "float64")
    variable.assign([5.0, 6.0])
    assert [each.tolist() for each in before] == [[1, 1]] * 4
    assert np.asarray(variable, "float64").dtype == np.float64
    before[0][:] = 0
    assert variable.tolist() == [5, 6]


def test_without_a_copy_where_that_is_asked_for():
    variable = State(torch.ones(2))
    shared = np.array(variable, copy=False)
    variable.assign([5.0, 6.0])
    assert shared.tolist() == [5, 6]


def test_a_deep_copy_is_of_the_same_kind():
    class Own(State):
        pass

    assert type(copy.deepcopy(Own(torch.ones(2)))) is Own
