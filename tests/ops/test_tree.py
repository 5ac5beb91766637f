"""Nests against `keras.tree`."""

import copy
import inspect
from collections import OrderedDict, defaultdict, deque, namedtuple

import keras
import pytest

from lamella import tree

Point = namedtuple("Point", "x y")

NESTS = [
    1,
    None,
    [],
    (),
    {},
    [1, 2, [3, (4,)]],
    {"b": 1, "a": [2, {"c": 3, "d": 4}]},
    OrderedDict([("b", 1), ("a", 2)]),
    Point(1, [2, 3]),
    deque([1, (2, 3)]),
    defaultdict(list, {"b": 1, "a": 2}),
    [None, {"x": None, "y": 1}],
    [[[[]]], 1],
    {2: "a", 1: "b"},
]


def test_names_and_arguments_are_keras_s():
    names = {name for name in dir(keras.tree) if not name.startswith("_")}
    assert names == set(tree.__all__)
    for name in names - {"MAP_TO_NONE"}:
        one, other = (
            [(p.name, p.default, p.kind) for p in inspect.signature(getattr(module, name)).parameters.values()]
            for module in (tree, keras.tree)
        )
        assert one == other, name


@pytest.mark.parametrize("nest", NESTS, ids=str)
def test_walks_like_keras(nest):
    for name in ("flatten", "flatten_with_path", "is_nested", "lists_to_tuples"):
        ours, theirs = getattr(tree, name)(nest), getattr(keras.tree, name)(nest)
        assert ours == theirs, name
    doubled = [(i, leaf) for i, leaf in enumerate(tree.flatten(nest))]
    ours, theirs = (module.pack_sequence_as(nest, doubled) for module in (tree, keras.tree))
    assert ours == theirs and type(ours) is type(theirs)
    assert tree.map_structure(str, nest) == keras.tree.map_structure(str, nest)
    assert tree.map_structure(str, nest, none_is_leaf=False) == keras.tree.map_structure(str, nest, none_is_leaf=False)
    assert tree.map_structure(lambda a, b: (a, b), nest, nest) == keras.tree.map_structure(
        lambda a, b: (a, b), nest, nest
    )
    tree.assert_same_structure(nest, nest)
    tree.assert_same_paths(nest, nest)


@pytest.mark.parametrize("top_down", [True, False])
@pytest.mark.parametrize("nest", NESTS, ids=str)
def test_traverse_like_keras(nest, top_down):
    def log(found):
        def visit(x):
            found.append(copy.deepcopy(x))

        return visit

    ours, theirs = [], []
    tree.traverse(log(ours), nest, top_down)
    keras.tree.traverse(log(theirs), nest, top_down)
    assert ours == theirs

    def replace(none):
        return lambda x: none if x == 1 else (9 if isinstance(x, tuple) and len(x) == 1 else None)

    assert tree.traverse(replace(tree.MAP_TO_NONE), nest, top_down) == keras.tree.traverse(
        replace(keras.tree.MAP_TO_NONE), nest, top_down
    )


PAIRS = [
    ([1, 2], [3, 4]),
    ([1, 2], (3, 4)),
    ([1, 2], [3]),
    ([1, [2]], [1, 2]),
    ({"a": 1}, {"a": 2}),
    ({"a": 1}, {"b": 2}),
    ({"a": 1}, OrderedDict(a=3)),
    ({"a": 1}, defaultdict(list, a=3)),
    (Point(1, 2), (1, 2)),
    (Point(1, 2), Point(3, 4)),
    ([1], deque([1])),
    (1, [1]),
    ([1, None], [None, 2]),
]


def raises(function, *args):
    try:
        function(*args)
    except ValueError:
        return True
    return False


@pytest.mark.parametrize("pair", PAIRS, ids=str)
def test_what_counts_as_the_same(pair):
    for name in ("assert_same_structure", "assert_same_paths"):
        assert raises(getattr(tree, name), *pair) == raises(getattr(keras.tree, name), *pair), name
    add = lambda a, b: (a, b)  # noqa: E731
    if isinstance(pair[0], int):  # Keras does not look at the second structure then
        assert raises(tree.map_structure, add, *pair)
        return
    assert raises(tree.map_structure, add, *pair) == raises(keras.tree.map_structure, add, *pair)


def test_shapes_are_leaves():
    shapes = {"a": (None, 3), "b": [(1, 2), [4]], "c": Point((1,), (2,))}
    ours, theirs = (module.map_shape_structure(lambda s: list(s), shapes) for module in (tree, keras.tree))
    assert ours == theirs == {"a": [None, 3], "b": [[1, 2], [4]], "c": Point([1], [2])}


def test_up_to_a_shallow_structure():
    ours, theirs = (
        module.map_structure_up_to(
            {"a": 0, "b": (0,)}, lambda x, y: (x, y), {"a": [1, 2], "b": (3,)}, {"a": 4, "b": (5,)}
        )
        for module in (tree, keras.tree)
    )
    assert ours == theirs == {"a": ([1, 2], 4), "b": ((3, 5),)}


def test_the_keys_of_every_dict_are_sorted():
    """Keras on torch sorts the outermost only, against its own documentation."""
    assert tree.flatten({"b": 1, "a": [2, {"d": 3, "c": 4}]}) == [2, 4, 3, 1]


def test_kinds_stay():
    found = tree.map_structure(str, defaultdict(list, {"a": 1}))
    assert found["new"] == [] and isinstance(found, defaultdict)
    assert tree.map_structure(str, deque([1], maxlen=1)).maxlen == 1
    assert list(tree.map_structure(str, {"b": 1, "a": 2})) == ["b", "a"]
    assert tree.flatten({"a": 1, 2: 3}) == [1, 3]  # keys without an order stay in their own


def test_errors():
    with pytest.raises(ValueError, match="has 2 leaves; 3 were given"):
        tree.pack_sequence_as([0, 0], [1, 2, 3])
    with pytest.raises(ValueError, match="not nested in the same way"):
        tree.map_structure(lambda a, b: a, [1], (1,))
    with pytest.raises(ValueError, match="at least one structure"):
        tree.map_structure(str)
    with pytest.raises(ValueError, match="at least one structure"):
        tree.map_structure_up_to([1], str)
    with pytest.raises(ValueError, match="not nested in the same way"):
        tree.map_structure_up_to([[1]], str, [1])
    with pytest.raises(ValueError, match=r"Only in `a`: \[\(1,\)\]"):
        tree.assert_same_paths([1, 2], [1])
    with pytest.raises(TypeError, match="callable"):
        tree.map_structure(3, [1])
    with pytest.raises(TypeError, match="callable"):
        tree.traverse(3, [1])
    with pytest.warns(DeprecationWarning, match="no effect"):
        tree.assert_same_structure([1], [2], check_types=True)
