"""Logic gates and adders of McCulloch-Pitts neurons. Each is called on rows of 0s and 1s.

`AND`, `OR`, `NOT` and `NOR` are one neuron. `NAND` is not: a veto is absolute, so an inhibitory input forbids firing
whatever the other input is. `XOR` is not either (no single threshold unit computes it: Minsky and Papert, 1969).

Example:
    >>> XOR([[0, 0], [0, 1], [1, 0], [1, 1]]).squeeze(1)
    tensor([0, 1, 1, 0])
    >>> FULL_ADDER([1, 1, 1])  # sum and carry
    tensor([1, 1])
"""

from lamella.neurons.mcculloch_pitts import McCullochPittsNetwork, McCullochPittsNeuron

Neuron = McCullochPittsNeuron

AND = Neuron(excitatory=(0, 1), threshold=2)
OR = Neuron(excitatory=(0, 1), threshold=1)
NOT = Neuron(inhibitory=(0,), threshold=0)
NOR = Neuron(inhibitory=(0, 1), threshold=0)

NAND = McCullochPittsNetwork(
    inputs=("a", "b"),
    neurons={
        "not a": Neuron(inhibitory=("a",), threshold=0),
        "not b": Neuron(inhibitory=("b",), threshold=0),
        "nand": Neuron(excitatory=("not a", "not b"), threshold=1),
    },
)
XOR = McCullochPittsNetwork(
    inputs=("a", "b"),
    neurons={
        "a alone": Neuron(excitatory=("a",), inhibitory=("b",), threshold=1),
        "b alone": Neuron(excitatory=("b",), inhibitory=("a",), threshold=1),
        "xor": Neuron(excitatory=("a alone", "b alone"), threshold=1),
    },
)
HALF_ADDER = McCullochPittsNetwork(
    inputs=("a", "b"),
    neurons=XOR.neurons | {"carry": Neuron(excitatory=("a", "b"), threshold=2)},
    outputs=("xor", "carry"),
)
"""Two bits in; their sum and the carry out."""

FULL_ADDER = McCullochPittsNetwork(
    inputs=("a", "b", "carry in"),
    neurons={
        "one or more": Neuron(excitatory=("a", "b", "carry in"), threshold=1),
        "carry": Neuron(excitatory=("a", "b", "carry in"), threshold=2),
        "all": Neuron(excitatory=("a", "b", "carry in"), threshold=3),
        "one alone": Neuron(excitatory=("one or more",), inhibitory=("carry",), threshold=1),
        "sum": Neuron(excitatory=("one alone", "all"), threshold=1),
    },
    outputs=("sum", "carry"),
)
"""Two bits and a carry in; their sum and the carry out."""
