"""Trees from brackets, nested tuples and graphs, and trees as columns."""

import itertools
import random
import re

import numpy as np
import pytest
import torch
from test_tree_layers import random_tree

from lamella.errors import DataError
from lamella.trees import Tree, TreeBatch, TreeBatches, read_trees

SST = "(3 (2 It) (4 (4 (2 's) (4 lovely)) (2 .)))"


def test_a_sentiment_tree():
    tree = Tree.from_string(SST)
    assert tree.words == [None, "It", None, None, "'s", "lovely", "."]
    assert tree.labels == [3, 2, 4, 4, 2, 4, 2]
    assert tree.parents.tolist() == [-1, 0, 0, 2, 3, 3, 2]
    assert tree.depths.tolist() == [0, 1, 1, 2, 3, 3, 2]
    assert tree.leaves == ["It", "'s", "lovely", "."]
    assert str(tree) == SST and Tree.from_string(str(tree)) == tree
    assert tree != Tree.from_string(SST.replace("lovely", "awful")) and tree != SST
    assert len({tree, Tree.from_string(SST)}) == 1


def test_penn_style():
    tree = Tree.from_string("( (S (NP (DT the) (NN cat))\n   (VP sat -LRB- down -RRB-)) )")
    assert tree.labels == [None, "S", "NP", "DT", "NN", "VP", None, None, None, None]
    assert tree.leaves == ["the", "cat", "sat", "-LRB-", "down", "-RRB-"]


def test_a_no_break_space_is_part_of_a_word():
    assert Tree.from_string("(2 (2 8\u00a01\\/2) (2 x))").leaves == ["8\u00a01\\/2", "x"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty; one tree is wanted"),
        ("  \n", "is empty"),
        ("word", "position 0 ('word'): 'word' outside brackets"),
        ("(1 a) (2 b)", "holds 2 trees"),
        ("(3 (2 a) (4 b)", "position 0 ('(3 (2 a) (4 b)'): this '(' is never closed; 1 ')' are missing"),
        ("(3 (2 a) (4 b", "position 9 ('(4 b'): this '(' is never closed; 2 ')' are missing"),
        ("(3 (2 a)) (4 b))", "position 15 (')'): ')' without '(' before it"),
        ("(3 (2 a) ())", "position 9 ('())'): empty brackets"),
        ("(3 (2 a) (4))", "position 9 ('(4))'): the node 4 has neither children nor a word"),
    ],
)
def test_brackets_that_are_wrong_are_named_by_their_position(text, message):
    with pytest.raises(DataError, match=re.escape(message)):
        Tree.from_string(text)


def test_a_file_of_trees(tmp_path):
    file = tmp_path / "trees.txt"
    file.write_text(SST + "\n\n(S\n  (NP a)\n  (VP b))\n", encoding="utf-8")
    assert [tree.labels[0] for tree in read_trees(file)] == [3, "S"]
    file.write_text(f"{SST}\n{SST}\n(1 (0 a)\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"trees.txt, line 3, position 0 \('\(1 \(0 a\)'\): this '\(' is never closed"):
        read_trees(file)
    file.write_text("\n")
    with pytest.raises(DataError, match="there is no tree in it"):
        read_trees(file)


def test_nested_tuples_and_lists():
    tree = Tree.from_nested((3, (2, "It"), (4, (4, (2, "'s"), (4, "lovely")), (2, "."))))
    assert tree == Tree.from_string(SST)
    tree = Tree.from_nested(["the", ["old", ("N", "house")]])
    assert tree.words == [None, "the", None, "old", "house"]
    assert tree.labels == [None, None, None, None, "N"]


@pytest.mark.parametrize(
    ("nested", "message"),
    [
        ([], "node 0, [], is neither"),
        (("S", "a", []), "node 2, [], is neither a string nor a list or tuple with children"),
        (("S", "a", 5), "node 2, 5, is neither"),
        ((3,), "node 0, (3,), is neither"),
        (None, "node 0, None, is neither"),
    ],
)
def test_nested_things_that_are_no_trees(nested, message):
    with pytest.raises(DataError, match=re.escape(message)):
        Tree.from_nested(nested)


def test_from_and_to_networkx():
    pytest.importorskip("networkx")
    rng = random.Random(0)
    for _ in range(10):
        tree = random_tree(rng, 20, 4)
        assert Tree.from_networkx(tree.to_networkx()) == tree


def test_graphs_that_are_no_trees():
    networkx = pytest.importorskip("networkx")

    def graph(*edges):
        return networkx.DiGraph(edges)

    assert Tree.from_networkx(graph("ab", "ac")).leaves == ["b", "c"]
    for edges, message in (
        (("ab", "bc", "cb"), "node 'b' has 2 parents, ['a', 'c']"),
        (("ab", "bc", "ca"), "there is no root: there is a cycle, 'a' -> 'b' -> 'c' -> 'a'"),
        (("ab", "xy", "yz", "zx"), "there is a cycle, 'x' -> 'y' -> 'z' -> 'x'"),
        (("ab", "xy"), "there are 2 roots, ['a', 'x']"),
        (("aa",), "there is a cycle, 'a' -> 'a'"),
        ((), "give a networkx.DiGraph with nodes"),
    ):
        with pytest.raises(DataError, match=re.escape(message)):
            Tree.from_networkx(graph(*edges))
    with pytest.raises(DataError, match=r"give a networkx\.DiGraph"):
        Tree.from_networkx(networkx.Graph(["ab"]))


@pytest.mark.parametrize(
    ("parents", "words", "message"),
    [
        ([-1, 0], ["a", None], "node 1 has neither children nor a word"),
        ([], [], "there are no nodes"),
        ([-1, 0, 0], ["a", "b"], "3 parents, 2 words"),
        ([0, 0], ["a", "b"], "node 0 has the parent 0"),
        ([-1, -1], ["a", "b"], "node 1 has the parent -1"),
        ([-1, 2, 0], ["a", "b", "c"], "node 1 has the parent 2"),
        ([-1, 0, 0, 1], ["a", "b", "c", "d"], "node 3 has the parent 1"),
    ],
)
def test_columns_that_are_no_tree(parents, words, message):
    with pytest.raises(DataError, match=message):
        Tree(parents, words)


def test_mapped():
    tree = Tree.from_string("(4 (2 A) (1 Bore))").mapped(words=str.upper, labels={4: "+", 1: "-"}.get)
    assert tree.words == [None, "A", "BORE"] and tree.labels == ["+", None, "-"]


@pytest.mark.parametrize("make", [Tree.from_string, lambda text: Tree.from_nested(nested_chain(100_000))])
def test_100000_levels_parse(make):
    tree = make("(1 (0 a) " * 100_000 + "(0 a)" + ")" * 100_000)
    assert tree.depth == 100_000 and tree.parents[-3:].tolist() == [199_996, 199_998, 199_998]


def nested_chain(levels):
    nested = (0, "a")
    for _ in range(levels):
        nested = (1, (0, "a"), nested)
    return nested


# -- batches ------------------------------------------------------------------------------------------------------


def test_level_order_is_that_of_a_walk_level_by_level():
    rng = random.Random(1)
    trees = [random_tree(rng, 30, 4, inner_words=True) for _ in range(6)]
    batch = TreeBatch(trees)
    level = [(i, 0) for i in range(len(trees))]
    nodes, parents = list(level), [-1] * len(level)
    while level:
        below = []
        for i, node in level:
            for child in trees[i].children(node):
                below.append((i, child))
                parents.append(nodes.index((i, node)))
        level = below
        nodes += below
    assert batch.parents.tolist() == parents
    assert batch.words == [trees[i].words[node] for i, node in nodes]
    assert batch.labels(range(5)).tolist() == [trees[i].labels[node] for i, node in nodes]
    for tree, words in zip(trees, batch.split(torch.arange(len(nodes))), strict=True):
        assert [batch.words[i] for i in words] == tree.words
    with pytest.raises(DataError, match=f"5 rows for {len(nodes)} nodes"):
        batch.split(torch.zeros(5))


def test_a_batch_refuses_what_is_no_tree():
    tree = Tree.from_string(SST)
    for trees, message in (([], "no trees"), (tree, "got one Tree"), ([tree, SST], "Number 1 of the trees is")):
        with pytest.raises(DataError, match=message):
            TreeBatch(trees)


def test_each_tree_is_in_one_batch_with_others_of_its_depth():
    rng = random.Random(2)
    trees = [random_tree(rng, rng.randint(1, 40), 2) for _ in range(50)]
    data = TreeBatches(trees, {}, batch_size=8, shuffle=False)
    sizes = [int((data[i]["parents"] < 0).sum()) for i in range(len(data))]
    assert sizes == [8] * 6 + [2]
    shuffled = TreeBatches(trees, {}, batch_size=8)
    first = [shuffled[i]["parents"].tolist() for i in range(len(shuffled))]
    shuffled.on_epoch_begin()
    assert first != [shuffled[i]["parents"].tolist() for i in range(len(shuffled))]
    for each in (data, shuffled):
        rows = np.concatenate([np.arange(len(each[i]["parents"])) for i in range(len(each))])
        parts = each.split(rows)
        assert [len(part) for part in parts] == [len(tree) for tree in trees]
        depths = [sorted(tree.depth for tree in [trees[i] for i in batch]) for batch in each._batches]
        spans = sorted((depth[0], depth[-1]) for depth in depths)
        assert all(a[1] <= b[0] for a, b in itertools.pairwise(spans))


def test_labels_that_are_no_class():
    trees = [Tree.from_string(SST), Tree.from_string("(3 (2 a) (7 b))")]
    with pytest.raises(DataError, match=r"Tree 1, node 2 \(b\): the label 7 is not one of the classes: 0, 1, 2, 3, 4"):
        TreeBatches(trees, {}, {i: i for i in range(5)})
    with pytest.raises(DataError, match="None of the trees has a label"):
        TreeBatches([Tree.from_nested(["a", "b"])], {}, {0: 0})
