"""Layers over trees: equal to the formulas, node by node; in models; saved; deep."""

import random

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

import lamella
from lamella import layers
from lamella.errors import ArgumentError, DataError, DTypeError, ShapeError
from lamella.trees import (
    MatrixVectorNetwork,
    RecursiveNetwork,
    RecursiveTensorNetwork,
    Tree,
    TreeBatch,
    TreeBatches,
    TreeLSTM,
)

UNITS = 5


def random_tree(rng, nodes, arity, inner_words=False):
    """A tree of about so many nodes; nodes have 1 to `arity` children, and labels 0 to 4."""
    children, count, growing = {0: []}, 1, [0]
    while growing and count < nodes:
        node = growing.pop(rng.randrange(len(growing)))
        for _ in range(rng.randint(1, arity)):
            children[node].append(count)
            children[count] = []
            growing.append(count)
            count += 1

    def nested(node):
        below = [nested(child) for child in children[node]]
        word = f"w{rng.randrange(9)}"
        if not below:
            return (rng.randrange(5), word)
        return (rng.randrange(5), *below) if len(below) > 1 or not isinstance(below[0], str) else (0, below)

    tree = Tree.from_nested(nested(0))
    if inner_words:
        tree = Tree(tree.parents, [word or f"w{rng.randrange(9)}" for word in tree.words], tree.labels)
    return tree


def random_batch(seed, count=8, arity=2, inner_words=False):
    rng = random.Random(seed)
    return TreeBatch([random_tree(rng, rng.randint(1, 15), arity, inner_words) for _ in range(count)])


# -- the formulas, one node after the other ---------------------------------------------------------------------


def children_of(parents, node):
    return [child for child, parent in enumerate(parents) if parent == node]


def padded(states, arity):
    return states + [torch.zeros_like(states[0])] * (arity - len(states))


def naive_recursive(layer, x, kids):
    return torch.tanh(torch.cat(padded(kids, layer.arity)) @ layer.kernel + layer.bias)


def naive_tensor(layer, x, kids):
    c = torch.cat(padded(kids, 2))
    products = torch.stack([c @ layer.tensor[:, :, k] @ c for k in range(layer.units)])
    return torch.tanh(products + c @ layer.kernel + layer.bias)


def naive_matrix_vector(layer, x, kids):
    d = layer.units
    eye = torch.eye(d, dtype=x.dtype)
    (a, ma), (b, mb) = [(kid[:d], kid[d:].view(d, d) + eye) for kid in padded(kids, 2)]
    p = torch.tanh(torch.cat([mb.T @ a, ma.T @ b]) @ layer.kernel + layer.bias)
    left, right = layer.matrix_kernel.split(d)
    return torch.cat([p, (left.T @ ma + right.T @ mb - eye).flatten()])


def naive_lstm(layer, x, kids):
    u = layer.units
    g, i, o, f = (x @ layer.kernel + layer.bias).split(u)
    hs, cs = [kid[:u] for kid in kids], [kid[u:] for kid in kids]
    recurrent = layer.recurrent_kernel.split(u, 1)
    if layer.arity is None:
        h = sum(hs, torch.zeros(u, dtype=x.dtype))
        forgets = [torch.sigmoid(f + hk @ recurrent[3]) for hk in hs]
    else:
        h = torch.cat(padded(hs, layer.arity)) if hs else torch.zeros(layer.arity * u, dtype=x.dtype)
        forgets = [torch.sigmoid(f + h @ recurrent[3 + k]) for k in range(len(hs))]
    g, i, o = torch.tanh(g + h @ recurrent[0]), torch.sigmoid(i + h @ recurrent[1]), torch.sigmoid(o + h @ recurrent[2])
    c = i * g + sum((fk * ck for fk, ck in zip(forgets, cs, strict=True)), torch.zeros(u, dtype=x.dtype))
    return torch.cat([o * torch.tanh(c), c])


def node_by_node(layer, formula, x, parents):
    states = {}
    for node in reversed(range(len(parents))):
        kids = [states[child] for child in children_of(parents, node)]
        is_raw = not kids and not isinstance(layer, TreeLSTM)
        states[node] = x[node] if is_raw else formula(layer, x[node], kids)
    return torch.stack([states[node][: layer.units] for node in range(len(parents))])


LAYERS = {
    "recursive": (lambda **k: RecursiveNetwork(UNITS, **k), naive_recursive, UNITS, 2),
    "recursive, 4 children": (lambda **k: RecursiveNetwork(UNITS, arity=4, **k), naive_recursive, UNITS, 4),
    "tensor": (lambda **k: RecursiveTensorNetwork(UNITS, **k), naive_tensor, UNITS, 2),
    "matrix-vector": (lambda **k: MatrixVectorNetwork(UNITS, **k), naive_matrix_vector, UNITS + UNITS**2, 2),
    "child-sum": (lambda **k: TreeLSTM(UNITS, **k), naive_lstm, 7, 6),
    "binary": (lambda **k: TreeLSTM(UNITS, arity=2, **k), naive_lstm, 7, 2),
    "ternary": (lambda **k: TreeLSTM(UNITS, arity=3, **k), naive_lstm, 7, 3),
}


def random_weights(layer, features):
    """The layer, built in float64, with no weight at a special value."""
    layer([torch.zeros(1, features, dtype=torch.float64), torch.tensor([-1])])
    for weight in layer.trainable_weights:
        weight.data.normal_(0, 0.5)
    return layer


@pytest.mark.parametrize("name", LAYERS)
def test_a_batch_equals_the_formulas_node_by_node_forward_and_backward(name):
    make, formula, features, arity = LAYERS[name]
    lamella.utils.set_random_seed(0)
    layer = random_weights(make(dtype="float64"), features)
    for seed in (0, 1):
        parents = random_batch(seed, arity=arity).parents
        x = torch.randn(len(parents), features, dtype=torch.float64, requires_grad=True)
        ours = layer([x, parents])
        theirs = node_by_node(layer, formula, x, parents.tolist())
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-12)
        direction = torch.randn_like(ours)
        wanted = [x, *layer.trainable_weights]
        found = torch.autograd.grad((ours * direction).sum(), wanted)
        expected = torch.autograd.grad((theirs * direction).sum(), wanted)
        for a, b in zip(found, expected, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("arity", [None, 2])
def test_nodes_that_a_mask_hides_have_no_input(arity):
    lamella.utils.set_random_seed(0)
    layer = random_weights(TreeLSTM(UNITS, arity=arity, dtype="float64"), 3)
    parents = random_batch(3).parents
    x = torch.randn(len(parents), 3, dtype=torch.float64)
    is_leaf = ~torch.isin(torch.arange(len(parents)), parents)
    for mask in (is_leaf, torch.rand(len(parents)) < 0.5):
        expected = node_by_node(layer, naive_lstm, x * mask[:, None], parents.tolist())
        torch.testing.assert_close(layer([x, parents], mask=[mask, None]), expected)


@pytest.mark.parametrize("arity", [None, 1])
def test_on_a_chain_a_tree_lstm_is_an_lstm(arity):
    lamella.utils.set_random_seed(0)
    steps, features = 9, 4
    tree = Tree(range(-1, steps - 1), [f"w{i}" for i in range(steps)])  # the root is the last step
    ours, lstm = TreeLSTM(UNITS, arity=arity), layers.LSTM(UNITS, return_sequences=True)
    x = torch.randn(1, steps, features)
    ours([x[0], TreeBatch([tree]).parents])
    lstm(x)
    for weight in ours.weights:
        weight.data.normal_()

    def as_keras(weight):  # i, f, c, o there; g, i, o, f here
        g, i, o, f = weight.detach().split(UNITS, -1)
        return torch.cat([i, f, g, o], -1)

    lstm.set_weights([as_keras(weight).numpy() for weight in (ours.kernel, ours.recurrent_kernel, ours.bias)])
    states = ours([x[0].flip(0), TreeBatch([tree]).parents])
    torch.testing.assert_close(states.flip(0), lstm(x)[0], rtol=1e-5, atol=1e-6)


def test_the_order_of_children_counts_for_n_ary_layers_alone():
    parents = TreeBatch([Tree.from_nested(["a", "b"])]).parents
    x = torch.randn(3, 4)
    swapped = x[[0, 2, 1]]
    child_sum, binary = TreeLSTM(4), TreeLSTM(4, arity=2)
    torch.testing.assert_close(child_sum([x, parents])[0], child_sum([swapped, parents])[0])
    assert (binary([x, parents])[0] - binary([swapped, parents])[0]).abs().max() > 1e-3


def test_roots_alone_are_in_the_order_of_the_trees():
    batch = random_batch(5, inner_words=True)
    x = torch.randn(len(batch.parents), 4)
    layer = TreeLSTM(4, arity=2)
    every = layer([x, batch.parents])
    layer.return_nodes = False
    roots = layer([x, batch.parents])
    assert torch.equal(roots, every[: len(batch)])
    assert torch.equal(roots, torch.stack([states[0] for states in batch.split(every)]))


def test_a_batch_does_not_mix_its_trees():
    batch = random_batch(6)
    layer = RecursiveNetwork(4)
    x = torch.randn(len(batch.parents), 4)
    together = batch.split(layer([x, batch.parents]))
    for tree, own, states in zip(batch.trees, batch.split(x), together, strict=True):
        alone = TreeBatch([tree])
        (found,) = alone.split(layer([own[torch.from_numpy(alone.order)], alone.parents]))
        torch.testing.assert_close(found, states)


class Calls(TorchDispatchMode):
    count = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.count += 1
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize("name", LAYERS)
def test_the_number_of_kernel_calls_grows_with_depth_and_not_with_nodes(name):
    make, _, features, _ = LAYERS[name]
    layer = make()
    tree = Tree.from_nested(["a", ["b", ["c", "d"]]])
    counts = []
    for copies in (2, 40):
        parents = TreeBatch([tree] * copies).parents
        x = torch.zeros(len(parents), features, requires_grad=True)
        layer([x, parents])
        with Calls() as calls:
            torch.autograd.grad(layer([x, parents]).sum(), x)
        counts.append(calls.count)
    assert counts[0] == counts[1]


@pytest.mark.parametrize("levels", [20_000, pytest.param(100_000, marks=pytest.mark.slow)])
def test_a_deep_tree_is_evaluated_without_recursion(levels):
    text = "(1 (0 a) " * levels + "(0 a)" + ")" * levels
    tree = Tree.from_string(text)
    assert tree.depth == levels and len(tree) == 2 * levels + 1
    parents = TreeBatch([tree]).parents
    layer = RecursiveNetwork(2)
    with torch.no_grad():
        states = layer([torch.ones(len(parents), 2), parents])
        p = torch.ones(2)
        for _ in range(1000):  # after which nothing changes any more
            p = layer.activation(torch.cat([torch.ones(2), p]) @ layer.kernel + layer.bias)
    torch.testing.assert_close(states[0], p)


@pytest.mark.parametrize("levels", [2_000, pytest.param(6_000, marks=pytest.mark.slow)])
def test_gradients_flow_through_many_levels(levels):
    parents = TreeBatch([Tree(range(-1, levels), ["w"] * (levels + 1))]).parents
    x = torch.zeros(len(parents), 1, requires_grad=True)
    layer = TreeLSTM(1)
    (gradient,) = torch.autograd.grad(layer([x, parents])[0].sum(), x)
    assert gradient[0].abs().item() > 0 and gradient.isfinite().all()


# -- in models ----------------------------------------------------------------------------------------------------


def functional(layer, features):
    tokens = lamella.Input((), dtype="int64", name="tokens")
    parents = lamella.Input((), dtype="int64", name="parents")
    x = layers.Embedding(11, features, mask_zero=True)(tokens)
    outputs = layers.Dense(5, activation="softmax")(layer([x, parents]))
    return lamella.Model({"tokens": tokens, "parents": parents}, outputs)


@pytest.mark.parametrize("name", LAYERS)
def test_a_functional_model_trains_and_is_saved(name, tmp_path):
    make, _, features, arity = LAYERS[name]
    lamella.utils.set_random_seed(0)
    model = functional(make(), features)
    assert model.output_shape == (None, 5)
    batch = random_batch(2, arity=arity)
    data = TreeBatches(batch.trees, {f"w{i}": i + 2 for i in range(9)}, {i: i for i in range(5)}, batch_size=5)
    model.compile(lamella.optimizers.Adam(0.05), "sparse_categorical_crossentropy")
    losses = model.fit(data, epochs=10, verbose=0).history["loss"]
    assert losses[-1] < 0.9 * losses[0]
    model.save(tmp_path / "trees.keras")
    again = lamella.models.load_model(tmp_path / "trees.keras")
    inputs = {"tokens": batch.tokens({f"w{i}": i + 2 for i in range(9)}), "parents": batch.parents}
    assert torch.equal(model(inputs), again(inputs))


@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_comes_back_from_its_config(name):
    layer = LAYERS[name][0](return_nodes=False, name="mine")
    again = type(layer).from_config(layer.get_config())
    assert again.get_config() == layer.get_config()
    assert (again.units, again.arity, again.return_nodes, again.name) == (UNITS, layer.arity, False, "mine")


# -- errors ---------------------------------------------------------------------------------------------------------


def test_what_does_not_fit_is_refused():
    three = TreeBatch([Tree.from_nested(["a", "b", "c"])]).parents
    with pytest.raises(ArgumentError, match=r"row 0 has 3 children, more than `arity`, 2.*arity=None"):
        RecursiveNetwork(4)([torch.zeros(4, 4), three])
    with pytest.raises(ShapeError, match="4 features; got 5"):
        RecursiveNetwork(4)([torch.zeros(4, 5), three])
    with pytest.raises(ShapeError, match="20 features; got 4"):
        MatrixVectorNetwork(4)([torch.zeros(4, 4), three])
    with pytest.raises(ShapeError, match=r"called on \[x, parents\]"):
        TreeLSTM(4)(torch.zeros(4, 4))
    with pytest.raises(ShapeError, match="5 rows of inputs and parents of shape"):
        TreeLSTM(4)([torch.zeros(5, 4), three])
    with pytest.raises(DTypeError, match=r"whole numbers; got torch\.float32"):
        TreeLSTM(4)([torch.zeros(4, 4), three.float()])
    for parents, row in (([-1, 1, 0], 1), ([-1, 0, -1], 2), ([0, 0], 0), ([-1, 0, 0, 2, 1], 4), ([-2, 0], 0)):
        with pytest.raises(
            DataError, match=f"Row {row} has the parent {parents[row]}: the rows are not in level order"
        ):
            TreeLSTM(4)([torch.zeros(len(parents), 4), torch.tensor(parents)])
    with pytest.raises(DataError, match="one node or more"):
        TreeLSTM(4)([torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64)])


@pytest.mark.parametrize("make", [TreeLSTM, RecursiveNetwork, RecursiveTensorNetwork, MatrixVectorNetwork])
def test_sizes_are_positive_whole_numbers(make):
    for units in (0, -3, 2.5, True):
        with pytest.raises(ArgumentError, match="`units` must be a whole number"):
            make(units)
    with pytest.raises(ArgumentError, match="`arity` must be a whole number"):
        RecursiveNetwork(3, arity=None)
