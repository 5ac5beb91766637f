"""Which code of the user's only computes, told by its bytecode; and steps with it are recorded, to the same bits."""

import math
import random as python_random
import time

import numpy as np
import pytest
import torch
from torch import nn

import lamella
from lamella import layers, ops
from lamella.training import train_function
from lamella.training.users_code import values_read

SCALE, SEEN, CALLS = 2.0, [], {"count": 0}


def swish(x):
    return x * torch.sigmoid(SCALE * x)


def through_another(x):
    return swish(x) + math.sqrt(2)


def with_comprehension(x):
    return torch.stack([part * (i + 1) for i, part in enumerate(x.unbind(-1))], -1)


def local_list(x):
    parts = []
    for _ in range(3):
        parts.append(x)
    return torch.cat(parts, -1)


def closure_over(number):
    return lambda x: x * number


@pytest.mark.parametrize(
    "function",
    [
        swish,
        through_another,
        with_comprehension,
        local_list,
        closure_over(3.0),
        lambda x: ops.relu(x) + lamella.ops.abs(x),
    ],
)
def test_functions_that_only_compute(function):
    assert values_read(function) is not None


def test_our_module_under_the_name_of_keras(monkeypatch):
    monkeypatch.setattr(lamella, "__name__", "keras")  # as `lamella run` calls it
    assert values_read(lambda x: ops.relu(x) + lamella.ops.abs(x)) is not None


def prints(x):
    print(x.shape)
    return x


def counts(x):
    CALLS["count"] += 1
    return x


def keeps(x):
    SEEN.append(x)
    return x


def keeps_by_another_name(x):
    mine = SEEN
    mine.append(x)
    return x


def clock(x):
    return x * time.time()


def dice(x):
    return x * python_random.random()


def by_numpy(x):
    return x * np.random.rand()


def remembers_in_a_global(x):
    global SCALE
    SCALE = 3.0
    return x


def imports(x):
    import random

    return x * random.random()


def through_one_that_prints(x):
    return prints(x)


def sets_an_attribute_of_torch(x):
    torch.my_flag = True
    return x


def in_an_inner_function(x):
    def inner(y):
        print(y)
        return y

    return inner(x)


def in_a_comprehension(x):
    return torch.stack([part for part in x.unbind(-1) if SEEN.append(1) is None], -1)


def unknown(x):
    return not_there(x)  # noqa: F821


def counter():
    count = 0

    def function(x):
        nonlocal count
        count += 1
        return x * count

    return function


def looks_at_numbers(x):
    return x * 2 if max(x.detach().flatten().tolist()) > 4 else x


def opens(x):
    return x * len(open("/dev/null").read())


DOUBLE, NOISY = closure_over(2.0), closure_over(time)


def through_two_of_one_text(x):
    return DOUBLE(x) + NOISY(x)


def default(x, seen=[]):  # noqa: B006
    seen.append(1)
    return x * len(seen)


@pytest.mark.parametrize(
    "function",
    [
        prints,
        counts,
        keeps,
        keeps_by_another_name,
        clock,
        dice,
        by_numpy,
        remembers_in_a_global,
        imports,
        through_one_that_prints,
        sets_an_attribute_of_torch,
        in_an_inner_function,
        in_a_comprehension,
        unknown,
        counter(),
        looks_at_numbers,
        through_two_of_one_text,
        opens,
        default,
        torch.no_grad()(swish),
    ],
)
def test_functions_that_could_do_more(function):
    assert values_read(function) is None


class Positions(layers.Layer):
    def build(self, input_shape):
        self.table = self.add_weight(shape=tuple(input_shape[1:]), initializer="random_normal", name="table")

    def call(self, x):
        return x + self.table


class Scaled(Positions):
    def __init__(self, factor=2.0):
        super().__init__()
        self._factor = factor

    def call(self, x):
        return super().call(x) * self._factor

    def plot(self):
        print("never called in a step")


class Helped(layers.Layer):
    def __init__(self):
        super().__init__()
        self.blocks = [layers.Dense(4), layers.Dense(4)]
        self.act = torch.tanh

    def call(self, x, training=None):
        for block in self.blocks:
            x = self.step(block, x)
        return x if training else x * 1.0

    def step(self, block, x):
        return self.act(block(x))


class Plain(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(4, 4)

    def forward(self, x):
        return torch.relu(self.linear(x))


def built(layer):
    layer(torch.ones(2, 4))
    return layer


@pytest.mark.parametrize("make", [Positions, Scaled, Helped, Plain])
def test_layers_that_only_compute(make):
    assert values_read(built(make())) is not None


class Counts(Positions):
    def call(self, x):
        self.count = getattr(self, "count", 0) + 1
        return x


class CountsInAnotherMethod(Positions):
    def call(self, x):
        self.note()
        return x

    def note(self):
        SEEN.append(1)


class InheritsACount(Counts):
    def call(self, x):
        return super().call(x)


class InheritsAHelper(CountsInAnotherMethod):
    def call(self, x):
        super().note()
        return x


class AddsALoss(Positions):
    def call(self, x):
        self.add_loss(x.mean())
        return x


class GivesItselfAway(Positions):
    def call(self, x):
        return change(self, x)


def change(layer, x):
    return x


class ByProperty(Positions):
    @property
    def factor(self):
        return time.time()

    def call(self, x):
        return x * self.factor


class Masks(Positions):
    def compute_mask(self, inputs, mask=None):
        SEEN.append(1)
        return mask


class KeepsInAList(Positions):
    def __init__(self):
        super().__init__()
        self.seen = []

    def call(self, x):
        self.seen.append(x)
        return x


class Renames(Positions):
    def call(self, x):
        me = self
        me.count = 1
        return x


class HidesALayer(Positions):
    def __init__(self):
        super().__init__()
        object.__setattr__(self, "hidden", [nn.Linear(4, 4)])

    def call(self, x):
        return self.hidden[0](x)


class Dresses(Positions):
    def __call__(self, x):
        SEEN.append(1)
        return super().__call__(x)


@pytest.mark.parametrize(
    "make",
    [
        Counts,
        CountsInAnotherMethod,
        InheritsACount,
        InheritsAHelper,
        AddsALoss,
        GivesItselfAway,
        ByProperty,
        Masks,
        KeepsInAList,
        Renames,
        HidesALayer,
        Dresses,
    ],
)
def test_layers_that_could_do_more(make):
    assert values_read(built(make())) is None


def test_a_call_of_the_instance_is_not_looked_at():
    layer = built(Positions())
    layer.call = lambda x: x
    assert values_read(layer) is None


def test_what_is_read_is_told(monkeypatch):
    layer = built(Scaled(2.0))
    before = values_read(layer)
    layer._factor = 3.0
    assert values_read(layer) != before
    before = values_read(through_another)
    monkeypatch.setitem(globals(), "SCALE", 5.0)
    assert values_read(through_another) != before


def data(samples=200):
    rng = np.random.default_rng(0)
    return rng.normal(size=(samples, 4)).astype("float32"), rng.integers(0, 3, samples)


class Subclassed(lamella.Model):
    def __init__(self):
        super().__init__()
        self.positions, self.hidden, self.out = Scaled(), layers.Dense(16, activation=swish), layers.Dense(3)

    def call(self, x):
        return self.out(self.hidden(self.positions(x)))


class LessEachEpoch(lamella.callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None):
        self.model.positions._factor = 2.0 - 0.5 * epoch


class AnotherScale(lamella.callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None):
        globals()["SCALE"] = 2.0 + epoch


@pytest.mark.usefixtures("every_step_is_recorded")
@pytest.mark.parametrize("callbacks", [[], [LessEachEpoch], [AnotherScale]])
def test_a_model_of_the_users_is_recorded_to_the_same_bits(monkeypatch, callbacks):
    monkeypatch.setitem(globals(), "SCALE", 2.0)

    def trained():
        lamella.utils.set_random_seed(1)
        model = Subclassed()
        model.compile("adam", lamella.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
        given = [make() for make in callbacks]
        history = model.fit(*data(), batch_size=16, epochs=3, verbose=0, callbacks=given).history
        return model, history

    model, history = trained()
    assert model._replay.played is not None
    monkeypatch.setattr(train_function, "may_be_replayed", lambda model: False)
    other, afresh = trained()
    assert other._replay is None
    assert history == afresh
    for mine, theirs in zip(model.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, theirs)
