# ruff: noqa: RUF005  (what is tested is the addition)
"""Shapes as TensorFlow 2.21 has them: each expected value is what its `tf.TensorShape` gives."""

import copy
import pickle

import pytest
import torch

from lamella.engine.tensor_shape import TensorShape
from lamella.errors import DTypeError, ShapeError

PART, NONE = TensorShape([2, None]), TensorShape(None)


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (repr(PART), "TensorShape([2, None])"),
        (f"{PART}", "(2, None)"),
        (f"{TensorShape(3)}", "(3,)"),
        (f"{NONE} {NONE!r}", "<unknown> TensorShape(None)"),
        (PART.as_list(), [2, None]),
        ((PART.rank, NONE.rank, NONE.dims, TensorShape([]).rank), (2, None, None, 0)),
        ((PART.num_elements(), NONE.num_elements(), TensorShape([2, 3]).num_elements()), (None, None, 6)),
        ((PART.is_fully_defined(), TensorShape([]).is_fully_defined(), NONE.is_fully_defined()), (False, True, False)),
        ((PART.is_compatible_with([2, 5]), PART.is_compatible_with([3, 5]), NONE.is_compatible_with(PART)), (1, 0, 1)),
        ((PART.is_subtype_of(NONE), PART.is_subtype_of([2, 3]), TensorShape([2, 3]).is_subtype_of(PART)), (1, 0, 1)),
        (repr(PART.merge_with([None, 3])), "TensorShape([2, 3])"),
        (repr(NONE.merge_with(PART)), "TensorShape([2, None])"),
        (repr(PART.most_specific_compatible_shape([2, 3])), "TensorShape([2, None])"),
        (repr(PART.concatenate([4])), "TensorShape([2, None, 4])"),
        (repr(NONE.concatenate([4])), "TensorShape(None)"),
        (repr([1] + PART), "TensorShape([1, 2, None])"),
        (repr((1,) + PART + TensorShape(4)), "TensorShape([1, 2, None, 4])"),
        ((repr(PART[1:]), PART[-1], repr(NONE[1:]), NONE[0]), ("TensorShape([None])", None, "TensorShape(None)", None)),
        ((bool(PART), bool(NONE), bool(TensorShape([]))), (True, False, True)),
        (repr(NONE.with_rank(2)), "TensorShape([None, None])"),
        (repr(TensorShape(torch.tensor([2, 3]))), "TensorShape([2, 3])"),
    ],
)
def test_answers_as_tensorflows(found, expected):
    assert found == expected


def test_equals_lists_and_tuples_in_both_orders():
    shape = TensorShape([2, 3])
    assert shape == [2, 3] and shape == [2, 3] and shape == (2, 3) and shape == (2, 3) and shape == torch.Size([2, 3])
    assert shape != [3, 2] and shape != [2] and shape != 2 and shape == torch.tensor([2, 3])
    assert TensorShape(None) == NONE and TensorShape([]) != NONE and NONE == None and NONE != [1]  # noqa: E711
    assert {shape: "found"}[(2, 3)] == "found"


def test_serves_where_torch_takes_sizes():
    shape = TensorShape(torch.zeros(2, 3).shape)
    assert torch.zeros(shape).shape == shape and torch.zeros(24).reshape(shape + (4,)).shape == (2, 3, 4)
    assert shape.numel() == 6 and torch.empty(*shape).expand(TensorShape([5]) + shape).shape == (5, 2, 3)


def test_is_the_same_after_copying():
    for shape in (PART, NONE):
        assert copy.deepcopy(shape) == shape == pickle.loads(pickle.dumps(shape))


@pytest.mark.parametrize(
    "refused",
    [
        lambda: TensorShape([-1, 3]),
        lambda: NONE.as_list(),
        lambda: PART.merge_with([3, 4]),
        lambda: PART.assert_has_rank(3),
        lambda: PART.with_rank_at_least(3),
        lambda: PART.with_rank_at_most(1),
        lambda: PART.assert_same_rank([1]),
        lambda: PART.assert_is_fully_defined(),
    ],
)
def test_what_does_not_hold_is_said(refused):
    with pytest.raises(ShapeError):
        refused()


def test_a_size_is_a_whole_number():
    for sizes in ([2.5], "a"):
        with pytest.raises(DTypeError, match="whole number"):
            TensorShape(sizes)
