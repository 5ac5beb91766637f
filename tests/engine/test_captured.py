"""A captured step is the step itself, and only where that is sure.

There need be no GPU: `Tape` does on the CPU what a CUDA graph does on the device. It keeps each operation with its
arguments and the memory of its results, and plays them into that memory; Python is not asked again.
"""

import gc
import random as python_random
import warnings
import weakref
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

import lamella
from lamella import layers
from lamella.engine import captured, masking
from lamella.engine import random as lamella_random
from lamella.engine.captured import Captured, agree
from lamella.engine.cuda_graph import CudaGraphs
from lamella.engine.device import device
from lamella.engine.seed_generator import SeedGenerator
from lamella.language import GPT
from lamella.training import train_function

UNSEEN = (torch.Tag.data_dependent_output, torch.Tag.dynamic_output_shape)
INDEXED = {torch.ops.aten.index.Tensor, torch.ops.aten.index_put.default, torch.ops.aten.index_put_.default}


def waits(operation, args):
    """Whether on a GPU this reads a number, has a shape that depends on numbers, or copies numbers of Python's."""
    if operation in INDEXED:
        return any(index is not None and index.dtype is torch.bool for index in args[1])
    if operation is torch.ops.aten.lift_fresh.default:
        return args[0].ndim > 0  # a single number goes to the device as an argument of the next operation
    return any(tag in operation.tags for tag in UNSEEN)


def place(tensor):
    return tensor.untyped_storage().data_ptr()


def as_it_lies(leaf):
    """A tensor that keeps its shape and strides when the original is transposed in place."""
    return leaf.detach() if isinstance(leaf, torch.Tensor) else leaf


def tensors_in(*values):
    return [leaf for leaf in tree_leaves(values) if isinstance(leaf, torch.Tensor)]


class Rehearsal(TorchDispatchMode):
    """Refuses what waits for the device, and generators that the graph does not know."""

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if waits(operation, args):
            raise RuntimeError(f"called a synchronizing CUDA operation ({operation})")
        return operation(*args, **kwargs)


class Tape(TorchDispatchMode):
    """A CUDA graph: while it is captured nothing is computed, and no number drawn, that anybody sees later."""

    def __init__(self, host):
        super().__init__()
        self.calls = []
        self.host = {place(tensor) for tensor in host}
        self.made = set()
        self.before = {}  # what is in memory that was there before, as the capture only reads it in name

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        given = tensors_in(args, kwargs)
        if given and all(place(tensor) in self.host for tensor in given):
            result = operation(*args, **kwargs)  # on the CPU of a machine with a GPU: computed at once, once
            self.host |= {place(tensor) for tensor in tensors_in(result)}
            return result
        if waits(operation, args):
            raise RuntimeError(f"operation not permitted when stream is capturing ({operation})")
        if any(isinstance(leaf, torch.Generator) for leaf in tree_leaves((args, kwargs))):
            raise RuntimeError("philox_cuda_state for an unexpected CUDA generator used during capture")
        for tensor in given:
            if place(tensor) not in self.made and place(tensor) not in self.before:
                storage = tensor.untyped_storage()
                self.before[place(tensor)] = (storage, storage.clone())
        kept = tree_map(as_it_lies, (args, kwargs))
        result = operation(*args, **kwargs)
        self.made |= {place(tensor) for tensor in tensors_in(result)} - set(self.before)
        if torch.Tag.inplace_view not in operation.tags:  # that computes nothing
            self.calls.append((operation, *kept, tree_map(as_it_lies, result), torch.is_grad_enabled()))
        return result

    def end(self):
        """Puts memory back, as nothing was computed; what was made holds nothing yet."""
        for storage, values in self.before.values():
            storage.copy_(values)
        for *_, result, _ in self.calls:
            for tensor in tensors_in(result):
                if place(tensor) in self.made and tensor.is_floating_point():
                    tensor.detach().fill_(float("nan"))

    def play(self):
        with torch._C._AutoDispatchBelowAutograd():
            for operation, args, kwargs, result, with_gradients in self.calls:
                with torch.set_grad_enabled(with_gradients):  # oneDNN's LSTM looks at it
                    again = operation(*args, **kwargs)
                for ours, new in zip(tensors_in(result), tensors_in(again), strict=True):
                    if place(ours) != place(new):
                        ours.copy_(new)


class Emulated:
    """The device of `Captured`, emulated."""

    def __init__(self, host=(), waits=0.0, room=True):
        self.device = torch.device("cpu")
        self.generator = torch.default_generator
        self.host = host
        self.waits = waits
        self.room = room
        self.plays = 0

    def rehearse(self, work):
        with Rehearsal():
            return work()

    def timed(self, work):
        return work(), 1.0, 1.0 + self.waits

    def has_room(self):
        return self.room

    def capture(self, work):
        drawn = self.generator.get_state()
        with Tape(self.host) as tape:
            result = work()
        tape.end()
        self.generator.set_state(drawn)

        def play():
            self.plays += 1
            tape.play()

        return result, play


# -- whole trainings --------------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def seeds_of_this_test_alone(monkeypatch):
    monkeypatch.setattr(lamella_random, "seeded", lamella_random.seeded)
    monkeypatch.setattr(masking, "in_use", masking.in_use)


@pytest.fixture
def graphs(monkeypatch):
    emulated = Emulated()
    monkeypatch.setattr(train_function, "graphs_of", lambda device: emulated)
    with device("cpu"):
        yield emulated


SPARSE = lamella.losses.SparseCategoricalCrossentropy(from_logits=True)


def mlp():
    return lamella.Sequential(
        [
            lamella.Input((6, 4)),
            layers.Flatten(),
            layers.Dense(16, "relu", kernel_regularizer="l2"),
            layers.Dropout(0.3),
            layers.Dense(3),
        ]
    )


def cnn():
    return lamella.Sequential(
        [
            lamella.Input((6, 4)),
            layers.Reshape((6, 4, 1)),
            layers.Conv2D(4, 3, padding="same", activation="relu"),
            layers.BatchNormalization(),
            layers.MaxPooling2D(),
            layers.SpatialDropout2D(0.2),
            layers.Conv2D(4, 3, padding="same"),
            layers.BatchNormalization(momentum=0.9),
            layers.GlobalAveragePooling2D(),
            layers.Dense(3),
        ]
    )


def recurrent():
    return lamella.Sequential(
        [lamella.Input((6, 4)), layers.LSTM(8, return_sequences=True), layers.GRU(5), layers.Dense(3)]
    )


def with_activity():
    inputs = lamella.Input((6, 4))
    h = layers.Dense(5, "tanh")(inputs)
    h = layers.ActivityRegularization(l2=0.01)(h)
    h = layers.LayerNormalization()(h + layers.GaussianNoise(0.1)(h))
    return lamella.Model(inputs, layers.Dense(3)(layers.Flatten()(h)))


def masked():
    return lamella.Sequential(
        [
            lamella.Input((6, 4)),
            layers.Masking(mask_value=0.0),
            layers.LSTM(5),
            layers.Dense(3),
        ]
    )


def augmented():
    return lamella.Sequential(
        [
            lamella.Input((6, 4)),
            layers.Reshape((6, 4, 1)),
            layers.RandomFlip(),
            layers.RandomRotation(0.1),
            layers.Flatten(),
            layers.Dense(3),
        ]
    )


def data(samples=200):
    rng = np.random.default_rng(0)
    return rng.normal(size=(samples, 6, 4)).astype("float32"), rng.integers(0, 3, samples)


def trained(make, xy=None, callbacks=(), optimizer="adam", loss=SPARSE, metrics=("accuracy",), **fit):
    lamella.utils.set_random_seed(3)
    model = make()
    model.compile(optimizer() if callable(optimizer) else optimizer, loss, metrics=list(metrics))
    x, y = data() if xy is None else xy
    history = model.fit(x, y, callbacks=list(callbacks), **{"epochs": 3, "batch_size": 16, "verbose": 0, **fit})
    return model, history.history


def both_ways(monkeypatch, make, *args, **fit):
    """Trains with and without a graph; both must end with the same bits. The step of the first."""
    model, history = trained(make, *args, **fit)
    with monkeypatch.context() as patch:
        patch.setattr(train_function, "may_be_replayed", lambda model: False)
        plain, expected = trained(make, *args, **fit)
    assert plain._replay is None
    assert history == expected
    for one, other in zip(model.get_weights(), plain.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    return model._replay


@pytest.mark.parametrize("make", [mlp, cnn, recurrent, masked, augmented, with_activity])
def test_a_captured_training_ends_the_same(monkeypatch, graphs, make):
    step = both_ways(monkeypatch, make)
    assert (step.why_not, graphs.plays) == (None, 3 * 12 - 4)  # the 13th batch of each epoch is a smaller one


def test_a_small_gpt(monkeypatch, graphs):
    tokens = np.random.default_rng(0).integers(0, 11, (64, 9))

    def gpt():
        return GPT(11, context_length=8, num_layers=2, num_heads=2, width=8, dropout=0.1)

    step = both_ways(monkeypatch, gpt, (tokens[:, :-1], tokens[:, 1:]), epochs=2, batch_size=8)
    assert (step.why_not, graphs.plays) == (None, 16 - 4)


def test_several_inputs_and_weighted_samples(monkeypatch, graphs):
    x, y = data(128)

    def two_inputs():
        left, right = lamella.Input((6, 4), name="left"), lamella.Input((4,), name="right")
        joined = layers.Concatenate()([layers.Flatten()(left), layers.Dense(3)(right)])
        return lamella.Model([left, right], layers.Dense(3)(joined))

    pair = {"left": x, "right": x[:, 0]}
    step = both_ways(monkeypatch, two_inputs, (pair, y), sample_weight=np.linspace(0, 1, 128))
    assert (step.why_not, graphs.plays) == (None, 3 * 8 - 4)


def test_rates_clipping_and_averages_stay_outside(monkeypatch, graphs):
    def optimizer():
        rate = lamella.optimizers.schedules.CosineDecay(0.01, 30, warmup_target=0.02, warmup_steps=5)
        return lamella.optimizers.AdamW(
            rate, global_clipnorm=0.5, use_ema=True, ema_overwrite_frequency=7, gradient_accumulation_steps=3
        )

    assert both_ways(monkeypatch, mlp, optimizer=optimizer).why_not is None
    assert graphs.plays


class LessDropout(lamella.callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None):
        self.model.layers[2].rate = 0.3 - 0.1 * epoch


class LessDropoutWithinEpochs(lamella.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        self.model.layers[2].rate = 0.3 - 0.01 * batch


class NewRate(lamella.callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None):
        self.model.optimizer.learning_rate = 0.01 / (epoch + 1)


class MovedWeight(lamella.callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None):
        kernel = self.model.layers[1].kernel
        kernel.data = kernel.data.clone() * 0.5


@pytest.mark.parametrize(
    ("callback", "plays"),
    [(LessDropout, 3 * (12 - 4)), (LessDropoutWithinEpochs, 0), (NewRate, 32), (MovedWeight, 3 * (12 - 4))],
)
def test_what_is_changed_while_training_counts(monkeypatch, graphs, callback, plays):
    both_ways(monkeypatch, mlp, callbacks=[callback()])
    assert graphs.plays == plays


def test_a_normalization_that_is_frozen_while_training_no_longer_moves(monkeypatch, graphs):
    def one_normalization():
        return lamella.Sequential(
            [
                lamella.Input((6, 4)),
                layers.Flatten(),
                layers.BatchNormalization(center=False, scale=False),
                layers.Dense(3),
            ]
        )

    class Frozen(lamella.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            self.model.layers[1].trainable = epoch == 0

    both_ways(monkeypatch, one_normalization, callbacks=[Frozen()])
    assert graphs.plays == (12 - 4) + (12 - 4) + 12


def test_metrics_may_keep_predictions(monkeypatch, graphs):
    class Kept(lamella.metrics.Metric):
        def __init__(self):
            super().__init__(name="kept")
            self.all = []

        def update_state(self, y_true, y_pred, sample_weight=None):
            self.all.append(y_pred)

        def result(self):
            return torch.cat(self.all).double().square().mean()

        def reset_state(self):
            self.all = []

    assert both_ways(monkeypatch, mlp, metrics=[Kept()]).why_not is None
    assert graphs.plays


def test_masks_go_with_the_predictions(monkeypatch, graphs):
    tokens = np.random.default_rng(0).integers(0, 5, (128, 6))

    def tagger():
        return lamella.Sequential(
            [lamella.Input((6,), dtype="int64"), layers.Embedding(5, 4, mask_zero=True), layers.Dense(5)]
        )

    step = both_ways(monkeypatch, tagger, (tokens, tokens))
    assert (step.why_not, graphs.plays) == (None, 3 * 8 - 4)


def test_a_seeded_layer_keeps_its_numbers(monkeypatch, graphs):
    def seeded():
        return lamella.Sequential(
            [lamella.Input((6, 4)), layers.Flatten(), layers.Dropout(0.5, seed=1), layers.Dense(3)]
        )

    step = both_ways(monkeypatch, seeded)
    assert graphs.plays == 0
    assert "generator" in step.why_not


def test_an_optimizer_of_the_user_gets_gradients_of_its_own(graphs):
    class Momentum(lamella.optimizers.Optimizer):
        last = None

        def update(self, weights, gradients, rate):
            for weight, gradient, before in zip(weights, gradients, self.last or gradients, strict=True):
                weight.sub_(rate * (gradient + before))
            self.last = gradients

    model, _ = trained(mlp, optimizer=Momentum)
    assert model._replay is None
    assert graphs.plays == 0


@pytest.mark.parametrize("what", ["jit_compile", "loss_scale_factor"])
def test_what_is_not_captured(monkeypatch, graphs, what):
    model = mlp()
    optimizer = lamella.optimizers.Adam(loss_scale_factor=128.0 if what == "loss_scale_factor" else None)
    model.compile(optimizer, SPARSE)
    model.jit_compile = what == "jit_compile"
    monkeypatch.setattr(torch, "compile", lambda model: model)
    model.fit(*data(), epochs=1, verbose=0)
    assert model._replay is None


# -- single steps -----------------------------------------------------------------------------------------


def batches(count=8, rows=4):
    source = torch.Generator().manual_seed(0)
    return [(torch.rand(rows, 3, generator=source), torch.rand(rows, generator=source), None) for _ in range(count)]


def step_of(predict):
    weight = torch.nn.Parameter(torch.tensor([0.5, -1.0, 2.0]))

    def compute(x, y, _):
        predicted = predict(x, weight)
        loss = (predicted - y).square().mean()
        return loss, predicted, torch.autograd.grad(loss, [weight])

    return compute


def captured_step(predict, state=(), host=(), **graphs):
    emulated = Emulated(host=host, **graphs)
    return Captured(step_of(predict), lambda: None, lambda: list(state), emulated), emulated


def assert_equal(found, expected):
    torch.testing.assert_close(found[0].detach(), expected[0].detach(), rtol=0, atol=0)
    torch.testing.assert_close(found[1].detach(), expected[1].detach(), rtol=0, atol=0)
    torch.testing.assert_close(list(found[2]), list(expected[2]), rtol=0, atol=0)


def test_played_from_the_sixth_batch_on():
    calls = []

    def predict(x, weight):
        calls.append(1)
        return x @ weight + torch.rand(4)

    step, graphs = captured_step(predict)
    expected = step_of(lambda x, weight: x @ weight + torch.rand(4))
    for batch in batches():
        drawn = torch.get_rng_state()
        found = step(*batch)
        after = torch.get_rng_state()
        torch.set_rng_state(drawn)
        assert_equal(found, expected(*batch))
        assert torch.equal(after, torch.get_rng_state())
    assert len(calls) == 6  # the fourth batch is captured and computed
    assert graphs.plays == 4


def test_state_moves_once_a_batch():
    average = torch.zeros(3)

    def predict(x, weight):
        average.mul_(0.9).add_(x.mean(0), alpha=0.1)
        return (x - average) @ weight

    step, graphs = captured_step(predict, [average])
    expected = torch.zeros(3)
    for x, y, weight in batches():
        step(x, y, weight)
        expected = expected * 0.9 + x.mean(0) * 0.1
        torch.testing.assert_close(average, expected)
    assert graphs.plays == 4


class Host:
    """What lives in Python: a count, and generators."""

    def __init__(self):
        self.calls = 0
        self.seeds = SeedGenerator(7)
        self.generator = torch.Generator().manual_seed(1)
        self.numpy = np.random.default_rng(0)

    def count(self, x, weight):
        self.calls += 1
        return x @ weight * self.calls

    def drawn_by_python(self, x, weight):
        return x @ weight * python_random.random()

    def drawn_by_numpy(self, x, weight):
        return x @ weight * float(self.numpy.random())

    def seeded(self, x, weight):
        first, count = self.seeds.next().tolist()
        return x @ weight * (first + count)

    def a_generator(self, x, weight):
        return x @ weight + torch.rand(4, generator=self.generator)

    def read(self, x, weight):
        return x @ weight * x.sum().item()

    def shaped_by_numbers(self, x, weight):
        return x @ weight + x[x > 0.5].sum()

    def from_numpy(self, x, weight):
        return x @ weight * float(x.numpy().sum())

    def new_tensor(self, x, weight):
        return x @ weight * torch.tensor([1.0, 2.0, 3.0, 4.0])


@pytest.mark.parametrize("name", [name for name in vars(Host) if not name.startswith("_")])
def test_a_step_in_which_python_has_a_say_is_not_played(name):
    own, reference = Host(), Host()
    step, _ = captured_step(getattr(own, name), [own.seeds.state, own.generator], [own.seeds.state])
    expected = step_of(getattr(reference, name))
    for batch in batches():
        found = step(*batch)
        if name in ("seeded", "a_generator", "read", "shaped_by_numbers", "from_numpy", "new_tensor"):
            assert_equal(found, expected(*batch))
    assert step.played is None
    assert step.why_not


def test_a_count_that_nobody_sees_in_the_loss_is_found_in_the_state():
    seeds = SeedGenerator(7)

    def predict(x, weight):
        seeds.next()
        return x @ weight

    step, _ = captured_step(predict, [seeds.state], [seeds.state])
    for batch in batches():
        step(*batch)
    assert seeds.state.tolist() == [7, 8]
    assert step.why_not == "played, the state of a batch came out otherwise"


def test_a_small_change_of_a_large_state_is_compared():
    average, calls = torch.full((3,), 100.0), []

    def predict(x, weight):
        calls.append(1)
        if len(calls) != 4:  # not in the capture
            average.add_(1e-3)
        return x @ weight

    step, _ = captured_step(predict, [average])
    for batch in batches():
        step(*batch)
    assert step.why_not == "played, the state of a batch came out otherwise"


def test_state_that_is_made_anew_is_not_captured():
    held = {"mean": torch.zeros(3)}

    def predict(x, weight):
        held["mean"] = held["mean"] * 0.9 + x.mean(0) * 0.1
        return (x - held["mean"]) @ weight

    emulated = Emulated()
    step = Captured(step_of(predict), lambda: None, lambda: [held["mean"]], emulated)
    expected = torch.zeros(3)
    for x, y, weight in batches():
        step(x, y, weight)
        expected = expected * 0.9 + x.mean(0) * 0.1
    torch.testing.assert_close(held["mean"], expected)
    assert "anew" in step.why_not


@pytest.mark.parametrize(
    ("of_the_device", "reason"),
    [({"waits": 1.0}, "launching is not what takes the time"), ({"room": False}, "not enough memory")],
)
def test_what_would_not_pay_is_not_captured(of_the_device, reason):
    step, graphs = captured_step(lambda x, weight: x @ weight, **of_the_device)
    for batch in batches():
        step(*batch)
    assert reason in step.why_not
    assert graphs.plays == 0


def test_memory_that_runs_out_in_the_capture_costs_nothing(monkeypatch):
    drawn = []

    def predict(x, weight):
        drawn.append(torch.rand(4))
        return x @ weight + drawn[-1]

    step, graphs = captured_step(predict)

    def capture(work):
        work()
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB\nmore")

    monkeypatch.setattr(graphs, "capture", capture)
    expected = step_of(lambda x, weight: x @ weight + torch.rand(4))
    state = torch.get_rng_state()
    found = [step(*batch) for batch in batches()]
    torch.set_rng_state(state)
    for one, batch in zip(found, batches(), strict=True):
        assert_equal(one, expected(*batch))
    assert step.why_not == "OutOfMemoryError: CUDA out of memory. Tried to allocate 2 GiB"


def test_a_graph_that_is_given_up_is_let_go():
    step, _ = captured_step(lambda x, weight: x @ weight, [setting := torch.zeros(1)])
    for batch in batches(6):
        step(*batch)
    graph = weakref.ref(step.played)
    assert graph() is not None
    setting.data = torch.ones(1)
    step.new_epoch(paused=False)
    gc.collect()
    assert graph() is None


def test_after_a_training_nothing_is_held():
    step, graphs = captured_step(lambda x, weight: x @ weight)
    expected = step_of(lambda x, weight: x @ weight)
    for batch in batches(6):
        step(*batch)
    graph = weakref.ref(step.played)
    step.let_go()
    gc.collect()
    assert graph() is None
    plays = graphs.plays
    for batch in batches(6):
        assert_equal(step(*batch), expected(*batch))
    assert graphs.plays == plays + 2


def test_other_batches_are_computed_as_ever():
    step, graphs = captured_step(lambda x, weight: x.to(torch.float32) @ weight)
    expected = step_of(lambda x, weight: x.to(torch.float32) @ weight)
    for batch in batches(6):
        step(*batch)
    (small, _, _), (x, y, _) = batches(1, rows=2)[0], batches(1)[0]
    masked = x.clone()
    masked._keras_mask = torch.ones(4)
    others = [(small, y[:2], None), (x, y, torch.ones(4)), (x.double(), y, None), (x.to_sparse(), y, None)]
    plays = graphs.plays
    for batch in [*others, (masked, y, None)]:
        assert_equal(step(*batch), expected(*batch))
    assert graphs.plays == plays
    assert_equal(step(x, y, None), expected(x, y, None))
    assert graphs.plays == plays + 1


def test_batches_of_varying_shape_before_the_capture():
    step, graphs = captured_step(lambda x, weight: x @ weight)
    expected = step_of(lambda x, weight: x @ weight)
    for one, other in zip(batches(8), batches(8, rows=2), strict=True):
        for batch in (one, other):
            assert_equal(step(*batch), expected(*batch))
    assert step.played is not None
    assert graphs.plays == 5 - 1 + 1


def test_memory_order_of_a_batch_does_not_matter():
    step, graphs = captured_step(lambda x, weight: x @ weight)
    expected = step_of(lambda x, weight: x @ weight)
    for x, y, _ in batches(7):
        batch = (x.T.contiguous().T, y, None)
        torch.testing.assert_close(step(*batch)[1], expected(*batch)[1].detach(), check_layout=False)
    assert graphs.plays


def test_paused_epochs_are_computed_afresh():
    step, graphs = captured_step(lambda x, weight: x @ weight)
    step.new_epoch(paused=True)
    for batch in batches():
        step(*batch)
    assert graphs.plays == 0
    step.new_epoch(paused=False)
    for batch in batches():
        step(*batch)
    assert graphs.plays == 4


def test_nan_is_compared_too():
    step, graphs = captured_step(lambda x, weight: (x @ weight - 100).sqrt())
    for batch in batches():
        assert step(*batch)[0].isnan()
    assert graphs.plays == 4


def test_agree():
    x = torch.tensor([1.0, float("nan"), float("inf"), 2.0])
    assert agree([x, None], [x.clone(), None], 0.0)
    assert agree([x + 1e-4], [x], 1e-3)
    assert not agree([x + 1e-2], [x], 1e-3)
    assert not agree([x], [x.nan_to_num(0.0)], 1e-3)
    assert not agree([x.nan_to_num(nan=0.0)], [x], 1e-3)
    assert not agree([torch.tensor([1.0])], [torch.tensor([float("inf")])], 1e-3)
    assert not agree([x], [None], 1e-3)
    assert not agree([x], [x, x], 1e-3)
    assert not agree([x[:1]], [x[:1].double()], 1e-3)
    assert not agree([torch.tensor([5, 7])], [torch.tensor([5, 8])], 1.0)
    noise = torch.tensor([1e-9])
    assert not agree([noise], [-noise], 1e-3)
    assert agree([noise, x], [-noise, x], 1e-3)  # nothing beside the other gradients


def test_deterministic_algorithms_ask_for_the_same_bits(monkeypatch):
    shift = iter([0.0] * 5 + [1e-5] + [0.0] * 9)

    def predict(x, weight):
        return x @ weight + next(shift)

    step, _ = captured_step(predict)
    for batch in batches():
        step(*batch)
    assert step.played is not None
    shift = iter([0.0] * 5 + [1e-5] + [0.0] * 9)
    monkeypatch.setattr(torch, "are_deterministic_algorithms_enabled", lambda: True)
    step, _ = captured_step(predict)
    for batch in batches():
        step(*batch)
    assert step.why_not == "played, the loss and predictions and gradients of a batch came out otherwise"


def test_the_tolerance_of_half_precision(monkeypatch, graphs):
    assert trained(mlp)[0]._replay.tolerance == captured.TOLERANCE

    def halves():
        return lamella.Sequential([lamella.Input((6, 4)), layers.Flatten(), layers.Dense(3, dtype="mixed_bfloat16")])

    model, _ = trained(halves)
    assert model._replay.tolerance == 2e-2
    assert model._replay.why_not is None


def test_gradients_that_are_sparse_are_not_captured(graphs):
    model = lamella.Sequential([lamella.Input((6,), dtype="int64"), torch.nn.Embedding(5, 3, sparse=True)])
    step = Captured(
        lambda x, y, weight: ((loss := model(x).mean()), y, torch.autograd.grad(loss, list(model.parameters()))),
        lambda: None,
        lambda: list(model.parameters()),
        graphs,
    )
    for _ in range(8):
        step(torch.ones(2, 6, dtype=torch.int64), torch.ones(2), None)
    assert "not plain" in step.why_not


class FakeCuda:
    """As much of `torch.cuda` as a graph needs, with a log of what was asked."""

    def __init__(self, monkeypatch):
        self.log, self.mode = [], "default"
        self.default_generators = [torch.default_generator]
        self.OutOfMemoryError = torch.OutOfMemoryError
        monkeypatch.setattr("lamella.engine.cuda_graph.torch.cuda", self)

    def Stream(self, device):
        return type("Stream", (), {"wait_stream": lambda _, other: self.log.append("wait")})()

    def current_stream(self, device):
        return self.Stream(device)

    def CUDAGraph(self):
        return type("Graph", (), {"replay": lambda _: self.log.append("replay")})()

    @contextmanager
    def stream(self, stream):
        self.log.append("aside")
        try:
            yield
        finally:
            self.log.append("back")

    @contextmanager
    def graph(self, graph, stream, capture_error_mode):
        assert capture_error_mode == "thread_local"
        self.log.append("begin")
        yield
        self.log.append("end")

    def get_sync_debug_mode(self):
        return self.mode

    def set_sync_debug_mode(self, mode):
        if mode == "error":
            warnings.warn("Synchronization debug mode is a prototype feature", stacklevel=1)
        self.mode = mode

    def synchronize(self, device):
        self.log.append("synchronize")

    def memory_allocated(self, device):
        return 100

    def max_memory_allocated(self, device):
        return 150

    def memory_reserved(self, device):
        return 160

    def mem_get_info(self, device):
        return 41, 1000


def test_what_is_asked_of_cuda(monkeypatch):
    cuda = FakeCuda(monkeypatch)
    graphs = CudaGraphs(torch.device("cuda:0"))
    result, told, done = graphs.timed(lambda: 5)
    assert (result, told <= done) == (5, True)
    assert cuda.log == ["synchronize", "wait", "aside", "back", "wait", "synchronize"]
    assert graphs.has_room()
    cuda.mem_get_info = lambda device: (40, 1000)
    assert not graphs.has_room()
    cuda.log.clear()
    result, play = graphs.capture(lambda: 7)
    play()
    assert (result, cuda.log) == (7, ["aside", "begin", "end", "back", "replay"])


def test_the_mode_that_refuses_waiting_is_left_again(monkeypatch):
    cuda = FakeCuda(monkeypatch)
    graphs = CudaGraphs(torch.device("cuda:0"))
    assert graphs.rehearse(lambda: cuda.mode) == "error"
    assert cuda.mode == "default"

    def waits():
        raise RuntimeError("called a synchronizing CUDA operation")

    with pytest.raises(RuntimeError, match="synchronizing"):
        graphs.rehearse(waits)
    assert cuda.mode == "default"


def test_after_a_failed_capture_another_one_is_ended(monkeypatch):
    cuda = FakeCuda(monkeypatch)
    zeros = torch.zeros
    monkeypatch.setattr(torch, "zeros", lambda *shape, device: zeros(*shape))

    def fails():
        raise torch.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(torch.OutOfMemoryError):
        CudaGraphs(torch.device("cuda:0")).capture(fails)
    assert cuda.log == ["aside", "begin", "back", "aside", "begin", "end", "back"]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("make", [mlp, cnn, recurrent, with_activity])
def test_on_a_gpu(monkeypatch, make):
    played = []

    class Look(lamella.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            played.append(self.model._replay.played is not None)

    model, history = trained(make, callbacks=[Look()])
    with monkeypatch.context() as patch:
        patch.setattr(train_function, "may_be_replayed", lambda model: False)
        plain, expected = trained(make)
    np.testing.assert_allclose(history["loss"], expected["loss"], rtol=1e-4)
    for one, other in zip(model.get_weights(), plain.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-2, atol=1e-3)
    step = model._replay
    assert played[-1] or "launching" in step.why_not, step.why_not
    assert step.played is None  # let go of when the training has ended
