"""Muon, ScheduleFreeAdamW and MultiOptimizer take the steps that real Keras takes."""

import copy

import numpy as np
import pytest
import torch

import lamella
from lamella import optimizers
from lamella.errors import ArgumentError

keras = pytest.importorskip("keras")

SHAPES = [(5,), (4, 3), (3, 6), (3, 3, 2, 4), (7, 2), (6, 6)]
PATHS = ["dense/bias", "dense/kernel", "dense_1/kernel", "conv/kernel", "embedding/embeddings", "output/kernel"]
STEPS = 15

MUON = [
    {},
    {"learning_rate": 0.05, "exclude_layers": ["output"], "rms_rate": None},
    {"exclude_embeddings": False, "nesterov": False, "weight_decay": None, "adam_weight_decay": 0.1},
    {"weight_decay": 0.2, "adam_weight_decay": None, "ns_steps": 3, "momentum": 0.8, "adam_lr_ratio": 0.5},
    {"clipnorm": 0.5, "use_ema": True, "ema_momentum": 0.8},
    {"gradient_accumulation_steps": 3},
]
SCHEDULE_FREE = [
    {},
    {"learning_rate": 0.05, "warmup_steps": 6, "beta_1": 0.8},
    {"learning_rate": 0.02, "weight_decay": 0.1, "global_clipnorm": 0.7},
]


def both(rng):
    values = [rng.normal(size=shape).astype("float32") for shape in SHAPES]
    weights = [torch.nn.Parameter(torch.tensor(value)) for value in values]
    variables = []
    for value, weight, path in zip(values, weights, PATHS, strict=True):
        weight.path = path
        scope, name = path.split("/")
        with keras.name_scope(scope):
            variables.append(keras.Variable(value, name=name))
    assert [variable.path for variable in variables] == PATHS
    return weights, variables


def compare(ours, theirs, rng, tolerance=2e-4):
    weights, variables = both(rng)
    ours.build(weights)
    theirs.build(variables)
    for _ in range(STEPS):
        grads = [rng.normal(size=shape).astype("float32") for shape in SHAPES]
        ours.apply([torch.tensor(g) for g in grads])
        theirs.apply([torch.tensor(g) for g in grads], variables)
    ours.finalize_variable_values(weights)
    theirs.finalize_variable_values(variables)
    for weight, variable in zip(weights, variables, strict=True):
        expected = variable.value.detach().numpy()
        np.testing.assert_allclose(weight.detach().numpy(), expected, rtol=tolerance, atol=tolerance)
    assert int(ours.iterations) == int(theirs.iterations)


@pytest.mark.parametrize("arguments", MUON, ids=lambda a: "-".join(a) or "plain")
def test_muon_as_in_keras(arguments, rng):
    compare(optimizers.Muon(**arguments), keras.optimizers.Muon(**arguments), rng)


def test_muon_makes_steps_orthogonal(rng):
    weight = torch.nn.Parameter(torch.zeros(6, 4))
    gradient = torch.randn(6, 4) @ torch.diag(torch.tensor([100.0, 10.0, 1.0, 0.5]))
    optimizers.Muon(1.0, weight_decay=None, rms_rate=None).apply([gradient], [weight])
    sizes = torch.linalg.svdvals(weight.detach())
    assert sizes.max() / sizes.min() < 2.5  # the gradient's were 200 times apart


def test_muon_without_names(rng):
    weight = torch.nn.Parameter(torch.zeros(3, 3))
    with pytest.raises(ArgumentError, match=r"weight\.path"):
        optimizers.Muon(exclude_layers=["out"]).build([weight])


@pytest.mark.parametrize("arguments", SCHEDULE_FREE, ids=lambda a: "-".join(a) or "plain")
def test_schedule_free_as_published(arguments, rng):
    """Against the paper's algorithm, in float64 and step by step.

    Keras itself takes these steps on TensorFlow and JAX; on torch its variables change under its hands.
    """
    options = {"learning_rate": 0.0025, "beta_1": 0.9, "warmup_steps": 0, "weight_decay": 0.0, **arguments}
    b1, b2, epsilon = options["beta_1"], 0.999, 1e-8
    weights, _ = both(rng)
    ours = optimizers.ScheduleFreeAdamW(**arguments)
    ours.build(weights)
    y = [w.detach().double() for w in weights]
    z, x, v = [t.clone() for t in y], [t.clone() for t in y], [torch.zeros_like(t) for t in y]
    for t in range(1, STEPS + 1):
        grads = [torch.tensor(rng.normal(size=shape), dtype=torch.float32) for shape in SHAPES]
        ours.apply(grads)
        rate = options["learning_rate"] * (min(t / options["warmup_steps"], 1.0) if options["warmup_steps"] else 1.0)
        norm = torch.sqrt(sum(g.double().square().sum() for g in grads))
        scale = min(1.0, options["global_clipnorm"] / norm) if "global_clipnorm" in options else 1.0
        for i, gradient in enumerate(grads):
            g = gradient.double() * scale
            y[i] = y[i] * (1 - options["weight_decay"] * options["learning_rate"])
            x[i] = (y[i] - (1 - b1) * z[i]) / b1
            v[i] = b2 * v[i] + (1 - b2) * g.square()
            z[i] = z[i] - rate * g / ((v[i] / (1 - b2**t)).sqrt() + epsilon)
            x[i] = (1 - 1 / t) * x[i] + z[i] / t
            y[i] = (1 - b1) * z[i] + b1 * x[i]
    for weight, expected in zip(weights, y, strict=True):
        torch.testing.assert_close(weight.detach(), expected.float(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("factor", [None, 4.0])
def test_multi_optimizer_as_in_keras(factor, rng):
    def made(k):
        o = k.optimizers
        chosen = o.OptimizerMap(
            o.SGD(0.1), {"dense.*/kernel": o.Adam(0.02), "output/kernel": o.SGD(0.05, momentum=0.9)}
        )
        chosen["embedding/.*"] = o.RMSprop(use_ema=True, ema_momentum=0.5)
        return o.MultiOptimizer(chosen, loss_scale_factor=factor)

    compare(made(lamella), made(keras), rng)


def map_of_two():
    return optimizers.OptimizerMap(optimizers.SGD(0.1, name="sgd"), {"encoder/.*": optimizers.Adam(0.01, name="adam")})


@pytest.mark.parametrize("name", ["Muon", "ScheduleFreeAdamW"])
def test_config_goes_both_ways(name):
    ours, theirs = getattr(optimizers, name)(epsilon=1e-3), getattr(keras.optimizers, name)(epsilon=1e-3)
    assert ours.get_config().keys() == theirs.get_config().keys()
    again = optimizers.deserialize(optimizers.serialize(ours))
    assert again.get_config() == ours.get_config()
    there = keras.optimizers.deserialize(optimizers.serialize(ours)).get_config()
    back = optimizers.deserialize(keras.optimizers.serialize(theirs)).get_config()
    for key, value in ours.get_config().items():
        if key == "name":
            continue
        wanted = pytest.approx(value) if isinstance(value, float) else value
        assert there[key] == wanted and back[key] == wanted
    assert type(optimizers.get(name.lower())) is type(ours)


def test_multi_config_goes_both_ways():
    ours = optimizers.MultiOptimizer(map_of_two(), loss_scale_factor=2.0)
    for again in (
        optimizers.deserialize(optimizers.serialize(ours)),
        keras.optimizers.deserialize(optimizers.serialize(ours)),
        optimizers.deserialize(keras.optimizers.serialize(keras.optimizers.deserialize(optimizers.serialize(ours)))),
    ):
        assert [o.name for o in again.optimizers] == ["adam", "sgd"]
        assert again.loss_scale_factor == again.optimizers[0].loss_scale_factor == 2.0


@pytest.mark.parametrize("make", [optimizers.Muon, optimizers.ScheduleFreeAdamW, "multi"])
def test_trains_a_model_and_goes_on_from_its_state(make):
    def multi():
        bias, kernel = optimizers.Adam(0.05), optimizers.SGD(0.1, momentum=0.5)
        return optimizers.MultiOptimizer(lambda weight: bias if weight.ndim == 1 else kernel)

    make = multi if make == "multi" else lambda cls=make: cls(0.05)
    x = np.random.default_rng(0).normal(size=(64, 4)).astype("float32")
    y = x[:, :1] - 2 * x[:, 1:2] + 1
    model = lamella.Sequential([lamella.Input((4,)), lamella.layers.Dense(8, "tanh"), lamella.layers.Dense(1)])
    model.compile(make(), "mse")
    losses = model.fit(x, y, epochs=25, verbose=0, shuffle=False).history["loss"]
    assert losses[-1] < 0.4 * losses[0]
    state, weights = copy.deepcopy(model.optimizer.state_dict()), model.get_weights()
    model.fit(x, y, epochs=2, verbose=0, shuffle=False)
    expected = model.get_weights()
    model.set_weights(weights)
    model.optimizer.load_state_dict(state)
    model.fit(x, y, epochs=2, verbose=0, shuffle=False)
    for a, b in zip(model.get_weights(), expected, strict=True):
        np.testing.assert_array_equal(a, b)


def test_fit_names_the_weights():
    model = lamella.Sequential(
        [lamella.Input((3,)), lamella.layers.Dense(3, name="body"), lamella.layers.Dense(1, name="head")]
    )
    before = model.get_weights()
    chosen = optimizers.OptimizerMap(optimizers.SGD(0.0), {"head/.*": optimizers.SGD(0.1)})
    model.compile(optimizers.MultiOptimizer(chosen), "mse")
    model.fit(np.ones((8, 3)), np.zeros((8, 1)), epochs=1, verbose=0)
    after = model.get_weights()
    assert np.array_equal(before[0], after[0]) and not np.array_equal(before[2], after[2])
    with pytest.raises(AttributeError, match="optimizers"):
        model.optimizer.learning_rate  # noqa: B018


class TestOptimizerMap:
    def test_keys(self):
        chosen = map_of_two()
        assert chosen["encoder/dense/kernel"].name == "adam" and chosen["x"].name == "sgd"
        assert len(chosen) == 1 and list(chosen) == ["encoder/.*"]
        del chosen["encoder/.*"]
        assert chosen["encoder/dense/kernel"].name == "sgd"

    def test_refusals(self):
        chosen = map_of_two()
        with pytest.raises(ArgumentError, match="already"):
            chosen["encoder/.*"] = optimizers.SGD()
        with pytest.raises(ArgumentError, match="LossScaleOptimizer"):
            chosen["head"] = optimizers.LossScaleOptimizer(optimizers.SGD())
        chosen["encoder/d.*"] = optimizers.SGD()
        with pytest.raises(ArgumentError, match="more than one key"):
            chosen["encoder/dense"]
        with pytest.raises(ArgumentError, match=r"weight\.path"):
            chosen(torch.nn.Parameter(torch.zeros(1)))

    def test_the_learning_rate_is_that_of_the_parts(self):
        both_of_them = optimizers.MultiOptimizer(map_of_two())
        with pytest.raises(AttributeError, match="optimizers"):
            both_of_them.learning_rate  # noqa: B018
        with pytest.raises(AttributeError, match="optimizers"):
            both_of_them.learning_rate = 1.0

    def test_other_weights_are_refused(self):
        one = optimizers.SGD()
        optimizer = optimizers.MultiOptimizer(lambda weight: one)
        optimizer.build([torch.nn.Parameter(torch.zeros(2))])
        with pytest.raises(ArgumentError, match="other weights"):
            optimizer.apply([torch.zeros(2)], [torch.nn.Parameter(torch.zeros(2))])


@pytest.mark.parametrize("kind", ["muon", "schedule-free", "multi"])
def test_files_are_in_kerass_order(kind, rng):
    def made(k):
        o = k.optimizers
        if kind == "multi":
            return o.MultiOptimizer(o.OptimizerMap(o.SGD(0.1), {"dense.*": o.Adam(0.02), "conv/.*": o.RMSprop()}))
        return o.Muon(0.01) if kind == "muon" else o.ScheduleFreeAdamW(0.01)

    ours, theirs = made(lamella), made(keras)
    weights, variables = both(rng)
    ours.build(weights)
    theirs.build(variables)
    for _ in range(3 if kind != "schedule-free" else 1):
        grads = [rng.normal(size=shape).astype("float32") for shape in SHAPES]
        ours.apply([torch.tensor(g) for g in grads])
        theirs.apply([torch.tensor(g) for g in grads], variables)
    mine, keras_own = {}, {}
    ours.save_own_variables(mine)
    theirs.save_own_variables(keras_own)
    assert mine.keys() == keras_own.keys()
    for key, value in keras_own.items():
        np.testing.assert_allclose(mine[key], np.asarray(value), rtol=1e-3, atol=1e-5, err_msg=key)
    again = made(lamella)
    again.build(weights)
    again.load_own_variables(keras_own)
    assert int(again.iterations) == int(ours.iterations)
    back = ours.remember()
    ours.apply([torch.ones(shape) for shape in SHAPES])
    back()
    for one in (again, ours):
        found = {}
        one.save_own_variables(found)
        for key, value in mine.items():
            np.testing.assert_allclose(found[key], value, rtol=1e-3, atol=1e-5)


def test_legacy_names():
    assert optimizers.legacy.Adam is optimizers.Adam
    theirs = {name for name in dir(keras.optimizers.legacy) if not name.startswith("_")}
    assert theirs <= set(optimizers.legacy.__all__)


def test_adafactor_with_inputs_and_units_that_have_no_gradient():
    """A dead unit's column and a zero input's row: their averages' product is no float32, and Keras gives NaN."""
    values = np.random.default_rng(0).normal(size=(2, 4, 3))
    values[1, 1], values[1, :, 2] = 0.0, 0.0
    weights = []
    for dtype in (torch.float32, torch.float64):
        weight = torch.nn.Parameter(torch.tensor(values[0], dtype=dtype))
        adafactor = lamella.optimizers.Adafactor(0.01)
        for _ in range(3):
            adafactor.apply([torch.tensor(values[1], dtype=dtype)], [weight])
        weights.append(weight.detach().numpy())
    np.testing.assert_allclose(*weights, rtol=1e-5)
