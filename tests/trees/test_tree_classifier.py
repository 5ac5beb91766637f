"""`TreeClassifier`: it learns what only the tree says, measures roots, and comes back from a file."""

import random

import fresh
import numpy as np
import pytest

import lamella
from lamella.errors import ArgumentError, DataError
from lamella.trees import (
    MatrixVectorNetwork,
    RecursiveNetwork,
    RecursiveTensorNetwork,
    Tree,
    TreeBatch,
    TreeBatches,
    TreeClassifier,
    TreeLSTM,
)


def negations(count, seed):
    """Sentences of good, bad and not; "not" turns round what stands beside it, and a phrase is as its last part."""
    rng = random.Random(seed)

    def phrase(depth):
        if depth == 0 or rng.random() < 0.2:
            good = rng.random() < 0.5
            return good, (int(good), "good" if good else "bad")
        good, below = phrase(depth - 1)
        if rng.random() < 0.6:
            return not good, (int(not good), "not", below)
        return good, (int(good), phrase(rng.randint(0, 1))[1], below)

    return [Tree.from_nested(phrase(4)[1]) for _ in range(count)]


LAYERS = {
    "binary": (lambda: TreeLSTM(16, arity=2), 16),
    "child-sum": (lambda: TreeLSTM(16), 16),
    "recursive": (lambda: RecursiveNetwork(16), 16),
    "tensor": (lambda: RecursiveTensorNetwork(8), 8),
    "matrix-vector": (lambda: MatrixVectorNetwork(4), 20),
}


def classifier(name, **options):
    make, size = LAYERS[name]
    options = {"dropout": 0.0, "embedding_size": size, **options}
    return TreeClassifier(["bad", "good", "not"], [0, 1], layer=make(), **options)


# Trees of one level have no use for the matrices of phrases.
@pytest.mark.filterwarnings("ignore:1 of 6 weights have no gradient")
@pytest.mark.parametrize(("name", "epochs"), [("binary", 7), ("recursive", 12), ("tensor", 7), ("matrix-vector", 7)])
def test_it_learns_that_not_turns_a_phrase_round(name, epochs):
    lamella.utils.set_random_seed(0)
    model = classifier(name)
    model.compile(lamella.optimizers.Adam(0.02))
    train, test = negations(200, 0), negations(100, 1)
    history = model.fit(train, epochs=epochs, verbose=0, validation_data=test).history
    assert set(history) == {"loss", "accuracy", "val_loss", "val_accuracy"}
    _, accuracy = model.evaluate(test, verbose=0)
    assert accuracy == history["val_accuracy"][-1] >= 0.8
    truth = np.array([tree.labels[0] for tree in test])
    assert (model.predict(test).argmax(-1) == truth).mean() == pytest.approx(accuracy)
    assert model.predict_classes(test) == model.predict(test).argmax(-1).tolist()


def test_the_loss_is_of_labelled_nodes_and_the_accuracy_of_labelled_roots():
    lamella.utils.set_random_seed(1)
    model = classifier("binary")
    trees = negations(30, 2)
    rng = random.Random(3)
    trees = [tree.mapped(labels=lambda label: label if rng.random() < 0.6 else None) for tree in trees]
    model.compile("adam")
    loss, accuracy = model.evaluate(trees, batch_size=30, verbose=0)
    nodes = model.predict_nodes(trees)
    assert [len(each) for each in nodes] == [len(tree) for tree in trees]
    told = [(p, y) for tree, own in zip(trees, nodes, strict=True) for p, y in zip(own, tree.labels, strict=True)]
    assert loss == pytest.approx(-np.mean([np.log(p[y]) for p, y in told if y is not None]), rel=1e-4)
    roots = [(own[0], tree.labels[0]) for tree, own in zip(trees, nodes, strict=True) if tree.labels[0] is not None]
    assert accuracy == pytest.approx(np.mean([p.argmax() == y for p, y in roots]))


def test_a_batch_without_any_label_does_no_harm():
    trees = [*negations(4, 0), Tree.from_nested(["good", "bad"])]
    model = classifier("binary")
    model.compile("adam")
    history = model.fit(trees, batch_size=1, epochs=2, verbose=0).history
    assert np.isfinite(history["loss"]).all() and np.isfinite(model.predict(trees)).all()


def test_the_order_and_the_batches_of_trees_change_nothing():
    model, trees = classifier("binary"), negations(25, 4)
    alone = np.concatenate([model.predict([tree]) for tree in trees])
    np.testing.assert_allclose(model.predict(trees, batch_size=7), alone, atol=1e-5)
    np.testing.assert_allclose(model.predict(trees[::-1]), alone[::-1], atol=1e-5)
    batch = TreeBatch(trees)
    numbers = {word: i for i, word in enumerate(model.vocabulary, 2)}
    logits = model({"tokens": batch.tokens(numbers), "parents": batch.parents})
    np.testing.assert_allclose(logits[: len(trees)].softmax(-1).detach(), alone, atol=1e-5)


def test_two_trainings_with_one_seed_are_equal_to_the_bit():
    found = []
    for _ in range(2):
        lamella.utils.set_random_seed(7)
        model = classifier("child-sum", dropout=0.3)
        model.compile("adam")
        model.fit(negations(40, 0), epochs=2, verbose=0)
        found.append(model.predict(negations(10, 1)))
    assert (found[0] == found[1]).all()


@pytest.mark.parametrize("name", LAYERS)
def test_saved_and_loaded(name, tmp_path):
    model = classifier(name)
    model.compile("adam")
    trees = negations(10, 0)
    model.fit(trees, verbose=0)
    model.save(tmp_path / "model.keras")
    again = lamella.models.load_model(tmp_path / "model.keras")
    assert (again.predict(trees) == model.predict(trees)).all()
    assert (again.vocabulary, again.classes, again.dropout) == (model.vocabulary, model.classes, 0.0)
    again.fit(trees, verbose=0)


def test_loaded_in_a_fresh_process(tmp_path):
    model, trees = classifier("binary"), negations(5, 0)
    model.save(tmp_path / "model.keras")
    code = (
        "import sys; from lamella.models import load_model; model = load_model(sys.argv[1]);"
        "from lamella.trees import read_trees; print(model.predict(read_trees(sys.argv[2])).tolist())"
    )
    (tmp_path / "trees.txt").write_text("\n".join(map(str, trees)))
    found = fresh.run(["-c", code, tmp_path / "model.keras", tmp_path / "trees.txt"])
    assert found.returncode == 0, found.stderr
    labelled = [Tree.from_string(str(tree)) for tree in trees]
    np.testing.assert_allclose(eval(found.stdout), model.predict(labelled), atol=1e-6)


def test_from_trees_collects_words_and_labels():
    trees = [Tree.from_string("(4 (2 a) (4 gem))"), Tree.from_string("(1 (2 a) (0 bore))")]
    model = TreeClassifier.from_trees(trees)
    assert model.vocabulary == ["a", "bore", "gem"] and model.classes == [0, 1, 2, 4]
    assert TreeClassifier.from_trees(trees, min_count=2).vocabulary == ["a"]
    named = [tree.mapped(labels={4: "+", 1: "-", 0: "-"}.get) for tree in trees]
    assert TreeClassifier.from_trees(named).classes == ["+", "-"]


def test_what_does_not_fit_is_refused():
    trees = negations(3, 0)
    with pytest.raises(ArgumentError, match="`classes` must be two or more"):
        TreeClassifier(["a"], [1])
    with pytest.raises(ArgumentError, match="`vocabulary` must be a list of different names"):
        TreeClassifier(["a", "a"], [0, 1])
    with pytest.raises(ArgumentError, match="gives all nodes"):
        TreeClassifier(["a"], [0, 1], layer=TreeLSTM(4, return_nodes=False))
    with pytest.raises(ArgumentError, match="is a layer over trees"):
        TreeClassifier(["a"], [0, 1], layer=lamella.layers.Dense(4))
    model = classifier("binary")
    model.compile("adam")
    with pytest.raises(DataError, match=r"Tree 1, node 1 \(a\): the label 7 is not one of the classes: 0, 1"):
        model.fit([trees[0], Tree.from_string("(1 (7 a) (1 b))")])
    with pytest.raises(DataError, match="labels are in the trees"):
        model.fit(trees, [0, 1, 0])
    with pytest.raises(DataError, match="Number 0 of the trees is '"):
        model.predict(["(1 a)"])
    with pytest.raises(ArgumentError, match="`batch_size` must be a whole number"):
        TreeBatches(trees, {}, batch_size=0)
    with pytest.raises(ArgumentError, match="row 0 has 3 children"):
        model.predict([Tree.from_nested(["a", "b", "c"])])
