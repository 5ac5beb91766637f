"""Small steps are recorded and played: the same bits as the step itself, and only where that is sure."""

import weakref

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

import lamella
from lamella import layers
from lamella.engine import replay
from lamella.engine.replay import Replay
from lamella.training import train_function

WIDE = {"shuffle": True, "batch_size": 16, "verbose": 0}


pytestmark = pytest.mark.usefixtures("every_step_is_recorded")


def classifier():
    return lamella.Sequential(
        [
            lamella.Input((6, 4)),
            layers.Flatten(),
            layers.Dense(16, "relu", kernel_regularizer="l2"),
            layers.Dropout(0.3),
            layers.Dense(3),
        ]
    )


def convolutions():
    images = lamella.Input((6, 4))
    h = layers.Reshape((6, 4, 1))(images)
    h = layers.Conv2D(4, 3, padding="same", activation="gelu")(h)
    h = layers.MaxPooling2D()(h) + layers.AveragePooling2D(2)(h)
    return lamella.Model(images, layers.Dense(3)(layers.Flatten()(h)))


def recurrent():
    sequences = [layers.GRU(5, return_sequences=True), layers.SimpleRNN(5)]
    return lamella.Sequential([lamella.Input((6, 4)), *sequences, layers.Dense(3)])


def normalized():
    return lamella.Sequential(
        [lamella.Input((6, 4)), layers.Flatten(), layers.Dense(8), layers.BatchNormalization(), layers.Dense(3)]
    )


CALLS = []


def noted(x):
    CALLS.append(len(x))
    return x * 2


def with_a_function_of_the_user():
    return lamella.Sequential([lamella.Input((6, 4)), layers.Flatten(), layers.Dense(3, activation=noted)])


def data(samples=200):
    rng = np.random.default_rng(0)
    return rng.normal(size=(samples, 6, 4)).astype("float32"), rng.integers(0, 3, samples)


def trained(make, callbacks=(), **fit):
    lamella.utils.set_random_seed(3)
    model = make()
    loss = lamella.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss, metrics=["accuracy"])
    history = model.fit(*data(), epochs=3, callbacks=list(callbacks), **{**WIDE, **fit})
    return model, history.history


def both_ways(monkeypatch, make, callbacks=(), **fit):
    played, its_history = trained(make, callbacks, **fit)
    with monkeypatch.context() as patch:
        patch.setattr(train_function, "may_be_replayed", lambda model: False)
        plain, history = trained(make, callbacks, **fit)
    assert plain._replay is None
    assert its_history == history
    for one, other in zip(played.get_weights(), plain.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    return played._replay


@pytest.mark.parametrize("make", [classifier, convolutions, recurrent])
def test_a_played_training_is_the_same_to_the_bit(monkeypatch, make):
    assert both_ways(monkeypatch, make).played is not None


def test_the_last_batch_may_be_shorter(monkeypatch):
    assert both_ways(monkeypatch, classifier, batch_size=48).played is not None


def normalized_twice():
    """One normalization in two places: its averages move twice in a step."""
    vectors = lamella.Input((6, 4))
    h, share = layers.Dense(8)(layers.Flatten()(vectors)), layers.BatchNormalization(momentum=0.6)
    return lamella.Model(vectors, layers.Dense(3)(share(layers.ReLU()(share(h)))))


def residual():
    images = lamella.Input((6, 4))
    h = layers.Reshape((6, 4, 1))(images)
    for _ in range(2):
        y = layers.BatchNormalization()(layers.Conv2D(4, 3, padding="same", use_bias=False)(h))
        h = layers.ReLU()(layers.Add()([layers.Conv2D(4, 1)(h), y]))
    return lamella.Model(images, layers.Dense(3)(layers.GlobalAveragePooling2D()(h)))


@pytest.mark.parametrize("make", [normalized, normalized_twice, residual])
def test_moving_averages_are_counted_once(monkeypatch, make):
    assert both_ways(monkeypatch, make).played is not None


def test_moving_averages_that_a_played_step_leaves_otherwise_are_noticed():
    average, factors = torch.zeros(4), iter([0.5] * 4 + [0.25] * 8)

    def predict(x, weight):
        average.lerp_((x @ weight).detach(), next(factors))
        return x @ weight

    step = Replay(step_of(predict), lambda: None)
    expected = torch.zeros(4)
    for batch, factor in zip(batches(), [0.5] * 4 + [0.25] * 8, strict=False):
        step(*batch)
        expected.lerp_(batch[0].sum(1), factor)
    assert step.played is None
    torch.testing.assert_close(average, expected)


def test_averages_that_a_failing_step_moved_are_put_back(monkeypatch):
    average = torch.zeros(4)

    def predict(x, weight):
        average.lerp_((x @ weight).detach(), 0.5)
        return x @ weight

    step = Replay(step_of(predict), lambda: None)
    expected = torch.zeros(4)
    for number, batch in enumerate(batches()):
        if number == 4:
            played = step.played

            def failing(x, y, played=played):
                played(x, y)
                raise RuntimeError("an operation that takes its arguments in another way")

            step.played = failing
        step(*batch)
        expected.lerp_(batch[0].sum(1), 0.5)
    assert step.played is None
    torch.testing.assert_close(average, expected)


def test_a_played_step_lets_go_of_what_it_does_not_need_any_more():
    def predict(x, weight):
        for _ in range(20):
            x = (x * weight).sin()
        return x.sum(1)

    alive, counts = weakref.WeakSet(), []

    class Counting(TorchDispatchMode):
        def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
            result = operation(*args, **(kwargs or {}))
            alive.add(result)
            counts.append(len(alive))
            return result

    step = Replay(step_of(predict), lambda: None)
    for batch in batches():
        step(*batch)
    with Counting(), torch.no_grad():
        step.played(*batches()[0][:2])
    assert max(counts) > 40  # what the gradients need of the way forward
    assert counts[-1] < 10


def test_weighted_samples_are_computed_afresh(monkeypatch):
    assert both_ways(monkeypatch, classifier, sample_weight=np.linspace(0, 1, 200)).played is None


def test_what_the_user_wrote_runs_for_every_batch():
    model, _ = trained(with_a_function_of_the_user)
    assert model._replay.played is None
    calls = []

    class Noted(layers.Dense):
        def call(self, inputs):
            calls.append(len(inputs))
            return super().call(inputs)

    trained(lambda: lamella.Sequential([lamella.Input((6, 4)), layers.Flatten(), Noted(3)]))
    assert len([size for size in calls if size == 16]) >= 36


def test_a_hook_of_the_user_runs_for_every_batch():
    calls = []

    def hooked():
        model = classifier()
        model.layers[-1].register_forward_hook(lambda *_: calls.append(1))
        return model

    model, _ = trained(hooked)
    assert model._replay.played is None
    assert len(calls) >= 39


class LessDropout(lamella.callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None):
        self.model.layers[2].rate = 0.3 - 0.1 * epoch


class LessDropoutWithinEpochs(lamella.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        self.model.layers[2].rate = 0.3 - 0.01 * batch


class FreezeTheAverages(lamella.callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None):
        self.model.layers[2].trainable = epoch != 1


def test_averages_that_are_frozen_while_training_stay(monkeypatch):
    def make():
        normalization = layers.BatchNormalization(center=False, scale=False)
        return lamella.Sequential(
            [lamella.Input((6, 4)), layers.Flatten(), layers.Dense(8), normalization, layers.Dense(3)]
        )

    assert both_ways(monkeypatch, make, [FreezeTheAverages()]).played is not None


@pytest.mark.parametrize("callback", [LessDropout, LessDropoutWithinEpochs])
def test_a_setting_that_is_changed_while_training_counts(monkeypatch, callback):
    both_ways(monkeypatch, classifier, [callback()])


def batches():
    source = torch.Generator().manual_seed(0)
    return [(torch.rand(4, 3, generator=source), torch.rand(4, generator=source), None) for _ in range(6)]


def step_of(predict):
    weight = torch.nn.Parameter(torch.ones(3))

    def compute(x, y, _):
        predicted = predict(x, weight)
        loss = (predicted - y).square().mean()
        return loss, predicted, torch.autograd.grad(loss, [weight])

    return compute


def test_played_from_the_sixth_batch_on():
    calls = []

    def predict(x, weight):
        calls.append(1)
        return x @ weight + torch.rand(4)

    step = Replay(step_of(predict), lambda: None)
    for batch in batches():
        seed = torch.get_rng_state()
        loss, predicted, (gradient,) = step(*batch)
        torch.set_rng_state(seed)
        expected = step_of(lambda x, weight: x @ weight + torch.rand(4))(*batch)
        assert loss.tolist() == expected[0].tolist()
        assert predicted.tolist() == expected[1].tolist()
        assert gradient.tolist() == expected[2][0].tolist()
    assert len(calls) == 5


COUNTER = iter(range(1, 100))


@pytest.mark.parametrize(
    "predict",
    [
        lambda x, weight: x @ weight * next(COUNTER),
        lambda x, weight: x @ weight * x.sum().item(),
        lambda x, weight: (x @ weight) * torch.tensor(x.numpy().sum()),
        lambda x, weight: x @ weight * torch.rand(4, generator=torch.Generator().manual_seed(next(COUNTER))),
        lambda x, weight: (x @ weight)[x[:, 0].nonzero().squeeze(-1)],
    ],
    ids=["a count", "a number read", "around torch", "its own generator", "a shape that depends on numbers"],
)
def test_a_step_in_which_python_has_a_say_is_not_played(predict):
    step = Replay(step_of(predict), lambda: None)
    for batch in batches():
        step(*batch)
    assert step.played is None


def test_what_is_the_same_at_every_batch_is_not_played(monkeypatch):
    lamella.utils.set_random_seed(0)
    model = lamella.Sequential([lamella.Input((4,)), layers.Dense(5, "relu"), layers.Dense(3)])
    model.compile("sgd", lamella.losses.SparseCategoricalCrossentropy(from_logits=True))
    x, y = torch.rand(96, 4), torch.randint(0, 3, (96,))
    model.fit(x, y, batch_size=16, verbose=0)
    called = []

    class Called(torch.overrides.TorchFunctionMode):
        def __torch_function__(self, function, types, args=(), kwargs=None):
            called.append(function.__name__)
            return function(*args, **(kwargs or {}))

    with Called(), torch.no_grad():
        model._replay.played(x[:16], y[:16])
    assert called.count("addmm") == 2
    assert called.count("t") == 2  # of the inputs and the hidden layer, but not of the weights
    assert called.count("sum") == 2  # the gradients of the biases
    assert "view" not in called


def test_a_sum_that_is_used_with_and_without_its_axis_is_right():
    def predict(x, weight):
        total = (x * weight).sum(0, keepdim=True)
        return (x * weight * total.view(3) + total).sum(1)

    step = Replay(step_of(predict), lambda: None)
    for batch in batches():
        loss, predicted, (gradient,) = step(*batch)
        expected = step_of(predict)(*batch)
        assert loss.tolist() == expected[0].tolist()
        assert predicted.tolist() == expected[1].tolist()
        assert gradient.tolist() == expected[2][0].tolist()


def test_views_of_the_same_shape_are_told_apart():
    def predict(x, weight):
        return (x[:, :2] * 3 + x[:, 1:]).sum(1) * weight.sum() + x.t().t()[:, 0]

    step = Replay(step_of(predict), lambda: None)
    for batch in batches():
        _, predicted, (gradient,) = step(*batch)
        expected = step_of(predict)(*batch)
        assert predicted.tolist() == expected[1].tolist()
        assert gradient.tolist() == expected[2][0].tolist()
    assert step.played is not None


@pytest.mark.parametrize(
    ("limit", "value"), [("_SHORT", 0.0), ("_WORTH", 1e9), ("_HELD", 100)], ids=["long", "few operations", "large"]
)
def test_steps_where_it_does_not_pay_are_not_recorded(monkeypatch, limit, value):
    monkeypatch.setattr(replay, limit, value)
    step = Replay(step_of(lambda x, weight: x @ weight), lambda: None)
    for batch in batches():
        step(*batch)
    assert step.played is None
