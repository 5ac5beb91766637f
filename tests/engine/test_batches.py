"""Rows that are picked from all over the data."""

import pytest
import torch

from lamella.engine.batches import spread


@pytest.mark.parametrize(("count", "most"), [(10, 4), (7, 7), (7, 2), (1000, 999), (2**40 + 1, 1000)])
def test_rows_are_spread_evenly_from_the_first_to_the_last(count, most):
    rows = spread(count, most)
    assert len(rows) == most and rows[0] == 0 and rows[-1] == count - 1
    steps = rows.diff()
    assert steps.min() >= 1 and steps.max() - steps.min() <= 1


def test_few_samples_are_all_taken():
    assert spread(3, 100).tolist() == [0, 1, 2]
    assert spread(1, 100).tolist() == spread(5, 1).tolist() == [0]
    assert spread(0, 100).tolist() == []


def test_large_data_lose_no_row_to_rounding():
    count = 2**24 + 3  # beyond what float32 counts
    assert torch.equal(spread(count, count), torch.arange(count))
