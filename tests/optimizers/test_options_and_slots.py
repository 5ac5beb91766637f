"""Every optimizer with every option of the base, and its slots, against real Keras over 20 steps."""

import numpy as np
import pytest
import torch

import lamella
from lamella import optimizers

keras = pytest.importorskip("keras")

SHAPES = [(5,), (4, 3), (3, 3, 2, 4)]

# the optimizer, its arguments, and Keras's name for each of our slots (a minus: the other sign)
OPTIMIZERS = {
    "SGD": ({}, {}),
    "SGD momentum": ({"momentum": 0.9}, {"velocity": "-momentums"}),
    "SGD nesterov": ({"momentum": 0.9, "nesterov": True}, {"velocity": "-momentums"}),
    "Adagrad": ({"initial_accumulator_value": 0.2}, {"accumulator": "_accumulators"}),
    "Adadelta": ({}, {"accumulated_grad": "_accumulated_grads", "accumulated_delta": "_accumulated_delta_vars"}),
    "RMSprop": ({}, {"velocity": "_velocities"}),
    "RMSprop centered": (
        {"momentum": 0.8, "centered": True},
        {"velocity": "_velocities", "steps": "_momentums", "average": "_average_gradients"},
    ),
    "Adam": ({}, {"momentum": "_momentums", "velocity": "_velocities"}),
    "Adam amsgrad": (
        {"amsgrad": True, "beta_1": 0.8, "beta_2": 0.95},
        {"momentum": "_momentums", "velocity": "_velocities", "largest": "_velocity_hats"},
    ),
    "AdamW": ({"weight_decay": 0.05}, {"momentum": "_momentums", "velocity": "_velocities"}),
    "Adamax": ({}, {"momentum": "_m", "norm": "_u"}),
    "Nadam": ({}, {"momentum": "_momentums", "velocity": "_velocities"}),
    "Ftrl": ({"l1_regularization_strength": 0.01}, {"accumulator": "_accumulators", "linear": "_linears"}),
    "Lion": ({}, {"momentum": "_momentums"}),
    "Adafactor": ({}, {}),
    "Lamb": ({}, {"momentum": "_momentums", "velocity": "_velocities"}),
}

OPTIONS = [
    {"clipnorm": 0.5},
    {"clipvalue": 0.2},
    {"global_clipnorm": 0.7},
    {"weight_decay": 0.1},
    {"use_ema": True, "ema_momentum": 0.7, "ema_overwrite_frequency": 6},
    {"gradient_accumulation_steps": 3},
    {"gradient_accumulation_steps": 2, "use_ema": True, "ema_overwrite_frequency": 3, "clipnorm": 0.4},
    {"loss_scale_factor": 16.0, "global_clipnorm": 0.3},
    {"learning_rate": "schedule"},
]


def pair(case, **options):
    """Our optimizer and Keras's, with a rate at which 20 steps go somewhere."""
    name, arguments = case.split()[0], OPTIMIZERS[case][0]

    def make(module):
        rate = options.get("learning_rate", 0.02)
        if rate == "schedule":
            rate = module.schedules.PolynomialDecay(0.05, 15, power=2.0)
        return getattr(module, name)(**{**arguments, **options, "learning_rate": rate})

    return make(optimizers), make(keras.optimizers)


def starting_weights(rng):
    values = [rng.normal(size=shape).astype("float32") for shape in SHAPES]
    weights = [torch.nn.Parameter(torch.tensor(value)) for value in values]
    weights[2] = torch.nn.Parameter(torch.tensor(values[2]).permute(3, 0, 1, 2).contiguous().permute(1, 2, 3, 0))
    return weights, [keras.Variable(value) for value in values]


def twenty_steps(ours, theirs, rng):
    weights, variables = starting_weights(rng)
    ours.build(weights)
    theirs.build(variables)
    for _ in range(20):
        gradients = [torch.tensor(rng.normal(size=shape).astype("float32")) for shape in SHAPES]
        ours.apply(gradients)
        theirs.apply([g.clone() for g in gradients], variables)
    return weights, variables


def same(ours, theirs):
    np.testing.assert_allclose(ours.detach().numpy(), theirs.value.detach().numpy(), rtol=3e-5, atol=3e-6)


@pytest.mark.parametrize("options", OPTIONS, ids=lambda options: "-".join(options))
@pytest.mark.parametrize("case", OPTIMIZERS)
def test_every_option_with_every_optimizer(case, options, rng):
    for weight, variable in zip(*twenty_steps(*pair(case, **options), rng), strict=True):
        same(weight, variable)


@pytest.mark.parametrize("case", [case for case, (_, slots) in OPTIMIZERS.items() if slots])
def test_slots(case, rng):
    ours, theirs = pair(case)
    twenty_steps(ours, theirs, rng)
    assert set(ours._slots) == set(OPTIMIZERS[case][1])
    for slot, attribute in OPTIMIZERS[case][1].items():
        sign = -1.0 if attribute.startswith("-") else 1.0
        for own, other in zip(ours._slots[slot], getattr(theirs, attribute.lstrip("-")), strict=True):
            same(own * sign, other)


@pytest.mark.parametrize("case", OPTIMIZERS)
def test_slots_lie_in_memory_as_their_weights(case, rng):
    ours, _ = pair(case, use_ema=True)
    weights, _ = starting_weights(rng)
    ours.build(weights)
    for name, slots in ours._slots.items():
        if name not in ("rows", "columns"):  # Adafactor's are no copies of the weights
            assert [slot.stride() for slot in slots] == [weight.stride() for weight in weights]


@pytest.mark.parametrize("rate", [1e-7, 3e-5, 1.0])
def test_momentum_keeps_the_precision_of_the_rate(rate):
    weight = torch.nn.Parameter(torch.zeros(33))
    optimizers.SGD(rate, momentum=0.9).apply([torch.full((33,), 3.0)], [weight])
    np.testing.assert_allclose(weight.detach().numpy(), np.full(33, -3.0 * rate), rtol=3e-7)


@pytest.mark.parametrize("case", ["SGD momentum", "Adam", "RMSprop", "Ftrl"])
def test_a_rate_that_changes_between_steps(case, rng):
    ours, theirs = pair(case)
    weights, variables = starting_weights(rng)
    for rate in (0.1, 0.01, 0.05, 0.002):
        gradients = [torch.tensor(rng.normal(size=shape).astype("float32")) for shape in SHAPES]
        ours.apply(gradients, weights)
        theirs.apply([g.clone() for g in gradients], variables)
        ours.learning_rate = theirs.learning_rate = rate
        assert ours.learning_rate == rate
    for weight, variable in zip(weights, variables, strict=True):
        same(weight, variable)


@pytest.mark.parametrize("case", ["SGD", "Adam", "Lamb", "Adafactor"])
@pytest.mark.filterwarnings("ignore:.*weights have no gradient:UserWarning")
@pytest.mark.filterwarnings("ignore:Gradients do not exist for variables:UserWarning")
def test_a_gradient_that_is_missing_now_and_then(case, rng):
    ours, theirs = pair(case, use_ema=True, ema_overwrite_frequency=4)
    weights, variables = starting_weights(rng)
    for step in range(8):
        gradients = [torch.tensor(rng.normal(size=shape).astype("float32")) for shape in SHAPES]
        gradients[step % 3] = None
        ours.apply(gradients, weights)
        theirs.apply([None if g is None else g.clone() for g in gradients], variables)
    for weight, variable in zip(weights, variables, strict=True):
        same(weight, variable)


def test_some_of_the_weights(rng):
    ours, theirs = pair("Adam")
    weights, variables = starting_weights(rng)
    ours.build(weights)
    theirs.build(variables)
    for order in ([0, 1, 2], [2, 0], [1], [2, 1, 0]):
        gradients = [torch.tensor(rng.normal(size=SHAPES[i]).astype("float32")) for i in order]
        count = ours.apply_gradients(zip(gradients, [weights[i] for i in order], strict=True))
        theirs.apply([g.clone() for g in gradients], [variables[i] for i in order])
    assert int(count) == int(theirs.iterations) == 4
    for weight, variable in zip(weights, variables, strict=True):
        same(weight, variable)


@pytest.mark.parametrize("growth", [2, 5])
def test_loss_scale_optimizer_follows_keras(growth, rng):
    ours = optimizers.LossScaleOptimizer(optimizers.Adam(0.05), initial_scale=64.0, dynamic_growth_steps=growth)
    theirs = keras.optimizers.LossScaleOptimizer(
        keras.optimizers.Adam(0.05), initial_scale=64.0, dynamic_growth_steps=growth
    )
    weights, variables = starting_weights(rng)
    for step in range(16):
        gradients = [torch.tensor(rng.normal(size=shape).astype("float32")) * 64 for shape in SHAPES]
        if step in (3, 4, 11):
            gradients[step % 3].view(-1)[0] = [float("inf"), float("nan"), -float("inf")][step % 3]
        ours.apply(gradients, weights)
        theirs.apply([g.clone() for g in gradients], variables)
        assert ours.scale_loss(torch.tensor(1.0)).item() == float(theirs.scale_loss(torch.tensor(1.0)))
        assert int(ours.iterations) == int(theirs.iterations)
    for weight, variable in zip(weights, variables, strict=True):
        same(weight, variable)


def test_a_float16_gradient_whose_norm_overflows_is_no_overflow():
    weight = torch.nn.Parameter(torch.zeros(4, dtype=torch.float16))
    optimizer = optimizers.LossScaleOptimizer(optimizers.SGD(1.0), initial_scale=32768.0)
    optimizer.apply([torch.full((4,), 6e4, dtype=torch.float16)], [weight])
    assert optimizer.dynamic_scale == 32768.0
    np.testing.assert_allclose(weight.detach().numpy(), -6e4 / 32768, rtol=1e-3)


@pytest.mark.parametrize("rate", [0.1, optimizers.schedules.ExponentialDecay(0.1, 10, 0.9)])
def test_the_rate_has_the_shape_of_a_number(rate):
    """Loggers of other packages read it as they read a variable."""
    read = optimizers.SGD(rate).learning_rate
    assert read.shape == () and read.ndim == 0
    assert float(read.numpy().item()) == pytest.approx(0.1)


@pytest.mark.parametrize("keras", [lamella, keras], ids=["lamella", "keras"])
def test_state_read_before_the_first_fit_is_kept(keras, tmp_path):
    x = np.random.default_rng(0).normal(size=(8, 4)).astype("f")
    models = []
    for _ in range(2):
        keras.utils.set_random_seed(0)
        models.append(keras.Sequential([keras.Input((4,)), keras.layers.Dense(4)]))
        models[-1].compile(keras.optimizers.Adam(0.01), "mse")
    first, second = models
    first.fit(x, x, epochs=3, verbose=0)
    first.save_weights(tmp_path / "three.weights.h5")
    second.optimizer.build(second.trainable_variables)
    second.load_weights(tmp_path / "three.weights.h5")
    losses = [model.fit(x, x, epochs=3, verbose=0).history["loss"] for model in models]
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-6)


def test_an_optimizer_of_another_model_begins_anew():
    x, optimizers = np.ones((8, 4), "f"), [lamella.optimizers.Adam(0.01), lamella.optimizers.Adam(0.01)]
    models = [lamella.Sequential([lamella.Input((4,)), lamella.layers.Dense(1)]) for _ in optimizers]
    for model, optimizer in zip(models, optimizers, strict=True):
        model.compile(optimizer, "mse")
        model.fit(x, x[:, :1], verbose=0)
    before = models[0].get_weights()[0]
    models[0].compile(optimizers[1], "mse")  # built for the other model's weights
    models[0].fit(x, x[:, :1], verbose=0)
    assert np.abs(models[0].get_weights()[0] - before).max() > 0
