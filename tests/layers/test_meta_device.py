"""Models without data, made within `torch.device("meta")` as torch's users make large ones, and filled later."""

import numpy as np
import pytest
import torch

import lamella
from lamella import layers
from lamella.engine.variable import State, Weight
from lamella.errors import NotBuiltError


def a_model():
    return lamella.Sequential(
        [
            lamella.Input((6, 4)),
            layers.Conv1D(3, 2),
            layers.BatchNormalization(),
            layers.GRU(3, return_sequences=True, dropout=0.1),
            layers.Flatten(),
            layers.Dense(2, kernel_regularizer="l2", kernel_constraint="non_neg"),
        ]
    )


def a_meta_model():
    with torch.device("meta"):
        return a_model()


@pytest.mark.parametrize("way", ["to_empty", "assign"])
def test_filled_later_it_is_the_same_model(way, tmp_path):
    whole, filled = a_model(), a_meta_model()
    assert {each.device.type for each in [*filled.parameters(), *filled.buffers()]} == {"meta"}
    paths = [weight.path.partition("/")[2] for weight in whole.weights]
    if way == "to_empty":
        filled.to_empty(device="cpu")
    filled.load_state_dict(whole.state_dict(), assign=way == "assign")
    x, y = np.random.default_rng(0).normal(size=(8, 6, 4)).astype("f"), np.zeros((8, 2), "f")
    np.testing.assert_array_equal(filled.predict(x, verbose=0), whole.predict(x, verbose=0))

    # Its weights are Keras's variables still: with methods, paths, regularizers and constraints.
    assert all(isinstance(each, (Weight, State)) for each in [*filled.parameters(), *filled.buffers()])
    assert [weight.path.partition("/")[2] for weight in filled.weights] == paths
    filled.layers[-1].kernel.assign(-torch.ones(15, 2))
    assert sum(filled.losses).item() == pytest.approx(0.01 * 30)
    filled.compile("adam", "mse")
    filled.fit(x, y, verbose=0)
    assert filled.layers[-1].kernel.min() >= 0
    filled.save(tmp_path / "m.keras")
    again = lamella.models.load_model(tmp_path / "m.keras")
    assert again.evaluate(x, y, verbose=0) == pytest.approx(filled.evaluate(x, y, verbose=0))


class Net(lamella.Model):
    def __init__(self):
        super().__init__()
        self.embedding, self.attention = layers.Embedding(10, 4), layers.MultiHeadAttention(2, 2)
        self.out = torch.nn.Linear(4, 3)

    def call(self, tokens):
        h = self.embedding(tokens)
        return self.out(self.attention(h, h))


def test_a_subclassed_model_is_built_by_a_call_on_meta():
    with torch.device("meta"):
        model = Net()
        assert model(torch.zeros(2, 5, dtype=torch.int64)).shape == (2, 5, 3)
    assert {each.device.type for each in model.parameters()} == {"meta"}
    model.to_empty(device="cpu")
    whole = Net()
    whole(torch.zeros(2, 5, dtype=torch.int64))
    model.load_state_dict(whole.state_dict())
    tokens = torch.randint(10, (2, 5))
    torch.testing.assert_close(model(tokens), whole(tokens))


@pytest.mark.parametrize("method", ["fit", "evaluate", "predict"])
def test_a_model_that_has_no_data_yet_says_so(method):
    model = a_meta_model()
    model.compile("adam", "mse")
    x, y = np.zeros((4, 6, 4), "f"), np.zeros((4, 2), "f")
    with pytest.raises(NotBuiltError, match="to_empty"):
        getattr(model, method)(x, *([y] if method != "predict" else []), verbose=0)


def test_a_weight_is_made_again_of_its_attributes():
    """As `accelerate.init_empty_weights` moves parameters: type(parameter)(data, requires_grad, **vars(parameter))."""
    weight = a_model().layers[-1].kernel
    made = type(weight)(weight.to("meta"), requires_grad=False, **vars(weight))
    assert (type(made), made.path, made.is_meta, made.requires_grad) == (Weight, weight.path, True, False)
    assert (made.regularizer, made.constraint) == (weight.regularizer, weight.constraint)
