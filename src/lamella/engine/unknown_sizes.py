"""What unknown sizes must be where they meet others: `(None, 3) + (2, None)` has the shape `(2, 3)`.

Shapes are found by running a call twice on tensors without data, with sizes of our own in place of the unknown
ones. Where an unknown size has to be equal to another size of the call (in sums, joins, products of matrices), the
call refuses ours. Then this module proposes which of the unknown sizes may be equal to which others, the fewest first.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import combinations, islice, product
from typing import Any

Sizes = tuple[int, int]
"""One size in the two runs; the same in both if it is known."""
Place = tuple[int, int]
"""One size of one of the tensors: the place of the tensor, and the axis."""

_TRIES = 96
"""After so many proposals a call is taken to be wrong: a mistake shall be told at once."""
_TOGETHER = 3
"""Up to how many unknown sizes are looked for together."""


def proposals(tensors: Sequence[Any], further: Iterable[int] = ()) -> Iterator[dict[Place, Sizes]]:
    """Proposals for unknown sizes, by their places; all others stay what they are.

    Args:
        tensors: The symbolic tensors of a call.
        further: Known sizes beside theirs: of its arrays, and the whole numbers among its arguments.
    """
    sizes = [list(zip(*(probe.shape for probe in tensor.probes), strict=True)) for tensor in tensors]
    sources = [_sources(tensor) for tensor in tensors]
    known = [(size, size) for size in dict.fromkeys(further)]
    apart = _unknown(sizes, sources)
    alike = _alike(apart, sizes)
    found = (
        {place: value for unit, value in zip(chosen, values, strict=True) for place in unit}
        for count in range(1, _TOGETHER + 1)
        for units in ([apart, alike] if alike != apart else [apart])
        for chosen in combinations(units, count)
        for values in product(*[_candidates(unit, sizes, sources, known) for unit in chosen])
    )
    return islice(found, _TRIES)


def _unknown(sizes: list[list[Sizes]], sources: list[set[int]]) -> list[list[Place]]:
    """The unknown sizes, each by itself; but the batches of tensors that come from the same inputs are one."""
    units: list[list[Place]] = []
    batches: list[tuple[Sizes, set[int], list[Place]]] = []
    for place, own in enumerate(sizes):
        for axis, pair in enumerate(own):
            if pair[0] == pair[1]:
                continue
            same = next((b for b in batches if not axis and b[0] == pair and b[1] & sources[place]), None)
            if same is not None:
                same[1].update(sources[place])
                same[2].append((place, axis))
                continue
            units.append([(place, axis)])
            if not axis:
                batches.append((pair, set(sources[place]), units[-1]))
    return units


def _alike(units: list[list[Place]], sizes: list[list[Sizes]]) -> list[list[Place]]:
    """The same, where all that have the same size in our runs are one."""
    together: dict[Sizes, list[Place]] = {}
    for unit in units:
        place, axis = unit[0]
        together.setdefault(sizes[place][axis], []).extend(unit)
    return list(together.values())


def _candidates(
    unit: list[Place], sizes: list[list[Sizes]], sources: list[set[int]], further: list[Sizes]
) -> list[Sizes]:
    """What the size may be: first those of other tensors that would stand beside it.

    Tensors that come from the same input tell nothing: a length that was cut does not fit the whole one, and the rows
    of a batch are not its columns. That stays a mistake.
    """
    place, axis = unit[0]
    from_end = len(sizes[place]) - axis
    own_sources = set[int]().union(*[sources[each] for each, _ in unit])
    foreign = [its for its, source in zip(sizes, sources, strict=True) if not own_sources & source]
    beside = [its[-from_end] for its in foreign if from_end <= len(its)]
    every = dict.fromkeys([*beside, *[pair for its in foreign for pair in its], *further])
    return [pair for pair in every if pair != sizes[place][axis]]


def _sources(tensor: Any) -> set[int]:
    """The inputs of the graph that a symbolic tensor is computed from, by their identities."""
    found: set[int] = set()
    seen: set[int] = set()
    stack = [tensor]
    while stack:
        each = stack.pop()
        if id(each) in seen:
            continue
        seen.add(id(each))
        inputs = each.node.inputs if each.node is not None else ()
        stack.extend(inputs)
        if not inputs:
            found.add(id(each))
    return found


__all__ = ["proposals"]
