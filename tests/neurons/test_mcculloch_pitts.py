"""McCulloch-Pitts neurons against their definition, the gates against Python's own logic."""

import pickle
from itertools import product

import numpy as np
import pytest
import torch

from lamella.errors import ArgumentError, DataError, ShapeError, UnknownNameError
from lamella.neurons import McCullochPittsNetwork, McCullochPittsNeuron, gates

TWO = {
    "AND": lambda a, b: a and b,
    "OR": lambda a, b: a or b,
    "NAND": lambda a, b: not (a and b),
    "NOR": lambda a, b: not (a or b),
    "XOR": lambda a, b: a != b,
}


@pytest.mark.parametrize("name", TWO)
def test_a_gate_of_two_inputs(name):
    expected = [[a, b, int(TWO[name](a, b))] for a, b in product((0, 1), repeat=2)]
    assert getattr(gates, name).truth_table().tolist() == expected


def test_not():
    assert gates.NOT.truth_table().tolist() == [[0, 1], [1, 0]]


def test_the_adders_add():
    for a, b, low, high in gates.HALF_ADDER.truth_table().tolist():
        assert a + b == low + 2 * high
    table = gates.FULL_ADDER.truth_table().tolist()
    assert len(table) == 8
    for a, b, c, low, high in table:
        assert a + b + c == low + 2 * high


def test_a_chain_of_full_adders_adds_numbers(rng):
    first, second = rng.integers(0, 2**16, (2, 50))
    carry = torch.zeros(50, dtype=torch.int64)
    total = torch.zeros(50, dtype=torch.int64)
    for bit in range(16):
        columns = torch.stack([torch.tensor((x >> bit) & 1) for x in (first, second)] + [carry], 1)
        low, carry = gates.FULL_ADDER(columns).unbind(1)
        total += low << bit
    assert (total + (carry << 16)).tolist() == (first + second).tolist()


def test_a_neuron_follows_its_definition(rng):
    for _ in range(30):
        columns = rng.permutation(8)
        excitatory = [*columns[:4].tolist(), *columns[:1].tolist()]  # one of them counts twice
        inhibitory, threshold = columns[4 : 4 + rng.integers(0, 3)].tolist(), int(rng.integers(0, 6))
        neuron = McCullochPittsNeuron(excitatory, inhibitory, threshold)
        x = rng.integers(0, 2, (5, 7, 8))
        expected = [
            [int(sum(row[i] for i in excitatory) >= threshold and not any(row[i] for i in inhibitory)) for row in rows]
            for rows in x
        ]
        assert neuron(x).tolist() == expected


@pytest.mark.parametrize("make", [list, np.asarray, torch.tensor, lambda x: torch.tensor(x).bool(), np.float32])
def test_inputs_of_every_kind(make):
    assert gates.AND(make([[1, 1], [1, 0]])).tolist() == [1, 0]


def test_named_sources_broadcast():
    neuron = McCullochPittsNeuron(["a", "b"], ["c"], 2)
    found = neuron({"a": torch.tensor([[0], [1]]), "b": torch.tensor([0, 1, 1]), "c": torch.tensor([0, 0, 1])})
    assert found.tolist() == [[0, 0, 0], [0, 1, 0]]


def test_neurons_in_any_order_are_computed_as_they_depend(rng):
    """Majority of majorities, its neurons named before what they need."""
    triples = [("a", "b", "c"), ("d", "e", "f"), ("g", "h", "i")]
    neurons = {"most": McCullochPittsNeuron(["m0", "m1", "m2"], threshold=2)}
    neurons |= {f"m{i}": McCullochPittsNeuron(triple, threshold=2) for i, triple in enumerate(triples)}
    network = McCullochPittsNetwork("abcdefghi", neurons, outputs=["most", "m1", "a"])
    x = rng.integers(0, 2, (4, 100, 9))
    groups = (x.reshape(4, 100, 3, 3).sum(-1) >= 2).astype(int)
    expected = np.stack([groups.sum(-1) >= 2, groups[..., 1], x[..., 0]], -1).astype(int)
    assert network(x).tolist() == expected.tolist()
    assert network.states(x)["m2"].tolist() == groups[..., 2].tolist()


def test_neurons_and_networks_pickle():
    for gate in (gates.NOR, gates.FULL_ADDER):
        again = pickle.loads(pickle.dumps(gate))
        assert again.truth_table().tolist() == gate.truth_table().tolist()


@pytest.mark.parametrize(
    ("act", "error", "message"),
    [
        (lambda: gates.AND([[0, 1], [0, 0.5]]), DataError, r"1 has 0.5 at row 1\b"),
        (lambda: gates.XOR([[0, 1], [0, 1], [2, 1]]), DataError, "has 2 at row 2, column 0"),
        (lambda: gates.AND([[0.0, float("nan")]]), DataError, "has nan at row 0"),
        (lambda: gates.AND([[1], [0]]), ShapeError, r"\(..., 2\) or more columns; got \(2, 1\)"),
        (lambda: gates.XOR([[1, 1, 1]]), ShapeError, r"expected \(..., 2\).*'a', 'b'.*got \(1, 3\)"),
        (lambda: McCullochPittsNeuron([0], threshold=0.5), ArgumentError, "whole number; got 0.5"),
        (lambda: McCullochPittsNeuron([0, 1], [1], 1), ArgumentError, r"\['1'\] both excite and inhibit"),
        (lambda: McCullochPittsNeuron("ab"), ArgumentError, r"list of sources; write \('ab',\)"),
        (lambda: McCullochPittsNeuron([-1]), ArgumentError, "got -1"),
        (lambda: McCullochPittsNeuron(["a"])([[1]]), ArgumentError, "give a dict with 'a'"),
        (lambda: McCullochPittsNeuron(["alpha"])({"alhpa": [1]}), UnknownNameError, "Did you mean 'alhpa'"),
        (lambda: McCullochPittsNetwork(["a"], {}), ArgumentError, "no neurons"),
        (lambda: McCullochPittsNetwork(["a", "a"], {"n": McCullochPittsNeuron(["a"])}), ArgumentError, "'a' is given"),
        (lambda: McCullochPittsNetwork(["n"], {"n": McCullochPittsNeuron(["n"])}), ArgumentError, "'n' is given twice"),
        (
            lambda: McCullochPittsNetwork(["input"], {"n": McCullochPittsNeuron(["inptu"])}),
            UnknownNameError,
            "source of the neuron 'n', 'inptu'. Did you mean 'input'",
        ),
        (
            lambda: McCullochPittsNetwork(["a"], {"n": McCullochPittsNeuron(["a"])}, ["m"]),
            UnknownNameError,
            "output 'm'",
        ),
        (
            lambda: McCullochPittsNetwork(
                ["a"], {"n": McCullochPittsNeuron(["a", "m"]), "m": McCullochPittsNeuron([], ["n"], 0)}
            ),
            ArgumentError,
            "in a circle: (n -> m -> n|m -> n -> m)",
        ),
    ],
)
def test_mistakes_are_told(act, error, message):
    with pytest.raises(error, match=message):
        act()
