"""Lists and dicts of layers are modules to torch, wherever it looks for modules by their names."""

import copy
import pickle
from collections import namedtuple

import pytest
import torch

import lamella


class Blocks(lamella.Model):
    def __init__(self):
        super().__init__()
        self.blocks = [lamella.layers.Dense(4), lamella.layers.Dense(4)]
        self.named = {"a": lamella.layers.Dense(4), "b": [lamella.layers.Dense(2)]}

    def call(self, x):
        for block in self.blocks:
            x = block(x)
        return self.named["b"][0](self.named["a"](x))


@pytest.fixture
def model():
    made = Blocks()
    made(torch.ones(3, 4))
    return made


def test_torch_finds_them_by_name(model):
    names = [name for name, _ in model.named_parameters()]
    assert names[0] == "blocks.0.kernel" and names[-1] == "named.b.0.bias"
    for name in names:
        assert model.get_parameter(name) is dict(model.named_parameters())[name]
    assert model.get_submodule("named.b.0") is model.named["b"][0]


def test_functional_call_and_export(model):
    x = torch.ones(3, 4)
    zeros = {name: torch.zeros_like(weight) for name, weight in model.named_parameters()}
    assert torch.func.functional_call(model, zeros, (x,)).abs().sum() == 0
    found = torch.export.export(model, (x,)).module()(x)
    torch.testing.assert_close(found, model(x))


def test_they_are_lists_and_dicts(model):
    assert isinstance(model.blocks, list) and isinstance(model.named, dict)
    assert model.blocks == [*model.blocks] and len(model.blocks) == 2
    model.blocks.append(lamella.layers.Dense(3))
    assert len(list(model.blocks.children())) == 3
    del model.named["a"]
    assert [name for name, _ in model.named.named_children()] == ["b"]
    other = Blocks()
    other.blocks = model.blocks  # one list in two models
    assert other.get_submodule("blocks.0") is model.blocks[0]


@pytest.mark.parametrize(
    "way", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))], ids=["copy", "pickle"]
)
def test_copies_hold_their_own(model, way):
    x = torch.ones(3, 4)
    found = way(model)
    torch.testing.assert_close(found(x), model(x))
    assert found.blocks[0] is not model.blocks[0]
    assert found.get_submodule("blocks.0") is found.blocks[0]
    found.blocks.append(lamella.layers.Dense(3))
    assert len(list(found.blocks.children())) == 3


def test_a_functional_model_s_call_trains_where_it_is_told():
    """As Keras: `model.call(x, training=True)`, which no `__call__` comes before."""
    layers = [lamella.Input((8,)), lamella.layers.Dropout(0.5)]
    x = torch.ones(4, 8)
    for model in (lamella.Sequential(layers), lamella.Model(layers[0], layers[1](layers[0]))):
        assert (model.call(x, training=True) == 0).any()
        assert torch.equal(model.call(x), x) and not model.training


def test_lists_in_lists_that_are_there_already():
    model = Blocks()
    model.stages, model.by_name = [], {}
    model.stages.append([lamella.layers.Dense(4)])
    model.stages[0].append(lamella.layers.Dense(4))
    model.by_name["a"] = [lamella.layers.Dense(4)]
    assert len([layer for layer in model._flatten_layers() if isinstance(layer, lamella.layers.Dense)]) == 7


@pytest.mark.parametrize("way", [copy.copy, copy.deepcopy])
def test_a_copy_of_a_list_is_another(way):
    model = Blocks()
    twin = way(model.blocks)
    twin.append(lamella.layers.Dense(4))
    assert len(model.blocks) == len(list(model.blocks.children())) == 2 and len(list(twin.children())) == 3


def own(weight):
    return weight.path.split("holder/")[1]


def holding(library):
    class Holder(library.layers.Layer):
        def __init__(self):
            super().__init__(name="holder")
            dense = library.layers.Dense
            self.first = dense(2, name="first")
            self.pair = (dense(3, name="in_tuple"), 3, [dense(4, name="in_list")], (dense(5, name="in_inner_tuple"),))
            self.heads = {"a": dense(6, name="a"), "more": [dense(7, name="more")], "b": dense(8, name="b")}

        def call(self, x):
            inside = (self.pair[0], self.pair[2][0], self.pair[3][0])
            heads = (self.heads["a"], self.heads["more"][0], self.heads["b"])
            return sum(layer(x)[:, :2] for layer in (self.first, *inside, *heads))

    model = library.Sequential([library.Input((2,)), Holder()])
    return model, model.layers[0]


def test_layers_in_tuples_are_the_layers_own_in_the_order_of_keras(tmp_path):
    reference, _ = holding(pytest.importorskip("keras"))
    model, holder = holding(lamella)
    assert [own(weight) for weight in model.weights] == [own(weight) for weight in reference.weights]
    assert isinstance(holder.pair, tuple) and holder.get_parameter("pair_items.0.kernel") is holder.pair[0].kernel
    reference.save_weights(tmp_path / "m.weights.h5")
    model.load_weights(tmp_path / "m.weights.h5")
    for ours, theirs in zip(model.get_weights(), reference.get_weights(), strict=True):
        assert (ours == theirs).all()


def test_layers_in_tuples_take_weights_from_outside():
    model, holder = holding(lamella)
    x, zeros = torch.ones(1, 2), {name: torch.zeros_like(weight) for name, weight in model.named_parameters()}
    assert torch.func.functional_call(model, zeros, (x,)).abs().max() == 0 != model(x).abs().max()
    assert "pair_items.3.0.kernel" in holder.state_dict() and len(zeros) == len(model.weights)
    torch.compile(torch.nn.Identity(), backend="eager")(x)  # from now on torch keeps weak references to new modules
    holder.pair = (lamella.layers.Dense(3),)
    assert len(list(holder.children())) == 3


def test_private_lists_in_lists_are_the_layers_own():
    def made(library):
        class Private(library.layers.Layer):
            def __init__(self):
                super().__init__()
                dense = library.layers.Dense
                self._rows, self._named, self._pairs = [[dense(2)]], {"a": {"b": dense(3)}}, [(dense(4),)]

            def call(self, x):
                return sum(layer(x).sum() for layer in (self._rows[0][0], self._named["a"]["b"], self._pairs[0][0]))

        layer = Private()
        layer(torch.ones(1, 2))
        return layer

    shapes = [
        [tuple(weight.shape) for weight in made(each).weights] for each in (lamella, pytest.importorskip("keras"))
    ]
    assert shapes[0] == shapes[1] and len(shapes[0]) == 6
    layer = made(lamella)
    layer._around = around = [1]
    around.append(around)
    layer._around = around
    assert layer._around is around and len(layer.weights) == 6


def test_a_tuple_of_layers_gives_way():
    _, holder = holding(lamella)
    count = len(holder.weights)
    holder.pair = None
    assert holder.pair is None and len(holder.weights) == count - 6
    holder.pair = (1, 2)
    assert holder.pair == (1, 2) and len(holder.weights) == count - 6


def test_layers_in_named_tuples_are_the_layers_own():
    Pair = namedtuple("Pair", "encode decode")

    def made(library):
        class Coder(library.Model):
            def __init__(self):
                super().__init__()
                self.pair = Pair(library.layers.Dense(2), [library.layers.Dense(3)])

            def call(self, x):
                return self.pair.decode[0](self.pair.encode(x))

        model = Coder()
        model(torch.ones(1, 4))
        return model

    model, reference = made(lamella), made(pytest.importorskip("keras"))
    assert [tuple(w.shape) for w in model.weights] == [tuple(w.shape) for w in reference.weights]
    assert len(model.weights) == 4 and type(model.pair) is Pair
    assert model.get_parameter("pair_items.0.kernel") is model.pair.encode.kernel
    model.pair = None
    assert not model.weights
    model.size = torch.Size([1, 2])
    assert type(model.size) is torch.Size


def test_copies_of_a_tuple():
    _, holder = holding(lamella)
    twin = copy.deepcopy(holder)
    assert twin.pair[0] is not holder.pair[0] and twin.get_parameter("pair_items.0.kernel") is twin.pair[0].kernel
    assert [own(weight) for weight in twin.weights] == [own(weight) for weight in holder.weights]
    again = pickle.loads(pickle.dumps(Blocks().named["b"])), copy.copy(holder.pair)
    assert again[1] == holder.pair and isinstance(again[1], tuple)


def test_a_tuple_that_came_before_super_init():
    class Early(lamella.layers.Layer):
        def __init__(self):
            self.inner = (lamella.layers.Dense(3),)
            super().__init__()

        def call(self, x):
            return self.inner[0](x)

    layer = Early()
    layer(torch.ones(1, 2))
    assert len(layer.weights) == 2
