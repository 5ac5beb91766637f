"""`summary()` of models that are code: shapes as far as they can be told."""

import numpy as np
import pytest
import torch

import lamella
from lamella import layers
from lamella.errors import ArgumentError


class Coded(lamella.Model):
    def __init__(self):
        super().__init__()
        self.body = lamella.Sequential([layers.Dense(8), layers.Dense(4)], name="body")
        self.steps = layers.LSTM(3, return_state=True, name="steps")
        self.windows = [layers.Conv1D(2, 2, name="window")]
        self.drop = layers.Dropout(0.5, name="drop")
        self.unused = layers.Dense(3, name="unused")

    def call(self, x):
        last, *_ = self.steps(x)
        return self.drop(self.body(last)) + self.windows[0](x).sum(dim=(1, 2)).unsqueeze(1)


def rows_of(model, **arguments):
    lines = []
    model.summary(print_fn=lines.append, **arguments)
    cells = [[cell.strip() for cell in line.strip("│").split("│")] for line in lines if line.startswith("│")]
    return {row[0].split(" ")[0]: row[1] for row in cells}


def test_shapes_of_layers_that_were_called():
    model = Coded()
    assert set(rows_of(model).values()) == {"?"}
    model(np.ones((2, 5, 6), "float32"))
    assert rows_of(model) == {
        "body": "(None, 4)",
        "steps": "(2, 3), (2, 3), (2, 3)",
        "window": "(2, 4, 2)",
        "drop": "?",
        "unused": "?",
    }


def test_a_range_of_layers():
    model = lamella.Sequential([lamella.Input((4,)), *(layers.Dense(2, name=name) for name in "abc")])
    assert list(rows_of(model, layer_range=["a", "b"])) == ["a", "b"]
    with pytest.raises(ArgumentError, match=r"'z'.*\['a', 'b', 'c'\]"):
        model.summary(layer_range=["a", "z"])


class WithSizes(layers.Dense):
    """Tells the sizes of its pictures beside what it makes of them, as the patches of a Transformer for pictures."""

    def call(self, inputs):
        return super().call(inputs), 3, 5, None


class ShapeAsList(layers.Dense):
    def compute_output_shape(self, input_shape):
        return [input_shape[0], self.units]


@pytest.mark.parametrize("layer", [WithSizes, ShapeAsList])
def test_what_is_no_shape_is_not_told(layer, capsys):
    class Model(lamella.Model):
        def __init__(self):
            super().__init__()
            self.first = layer(4)

        def call(self, x):
            found = self.first(x)
            return found[0] if isinstance(found, tuple) else found

    model = Model()
    model(np.ones((2, 3), "float32"))
    model.summary()
    assert "(2, 4)" in capsys.readouterr().out


def test_a_model_that_was_built_for_any_batch_shows_no_size_of_it(capsys):
    class Two(lamella.Model):
        def __init__(self):
            super().__init__()
            self.first, self.second = lamella.layers.Conv2D(4, 3), lamella.layers.Dense(2)

        def call(self, x):
            return self.second(self.first(x).mean((1, 2)))

    model = Two()
    model.build((None, 28, 28, 1))
    model.summary()
    shown = capsys.readouterr().out
    assert "(None, 26, 26, 4)" in shown and "(None, 2)" in shown


def test_modules_of_torch_have_rows_where_they_stand(capsys):
    class Mixed(lamella.Model):
        def __init__(self):
            super().__init__()
            self.stem = torch.nn.Linear(4, 3)
            self.act = torch.nn.ReLU()
            self.head = layers.Dense(2, name="head")
            self.blocks = torch.nn.ModuleList([torch.nn.Linear(2, 2), layers.Dense(5, name="inner")])
            for weight in self.stem.parameters():
                weight.requires_grad_(False)

        def forward(self, x):
            h = self.head(self.act(self.stem(x)))
            for block in self.blocks:
                h = block(h)
            return h

    model = Mixed()
    model(torch.zeros(1, 4))
    model.summary(show_trainable=True)
    rows = [[cell.strip() for cell in line.strip("│").split("│")] for line in capsys.readouterr().out.splitlines()]
    assert [row for row in rows if len(row) == 4] == [
        ["stem (Linear)", "?", "15", "no"],
        ["head (Dense)", "(1, 2)", "8", "yes"],
        ["blocks.0 (Linear)", "?", "6", "yes"],
        ["inner (Dense)", "(1, 5)", "15", "yes"],
    ]
    assert [layer.name for layer in model.layers] == ["head", "inner"]
