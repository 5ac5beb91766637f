"""Every optimizer takes the steps that real Keras takes: 20 of them, on weights of several shapes."""

import numpy as np
import pytest
import torch

from lamella import optimizers

keras = pytest.importorskip("keras")

SHAPES = [(5,), (4, 3), (3, 3, 2, 4)]

CASES = [
    ("SGD", {}),
    ("SGD", {"momentum": 0.9}),
    ("SGD", {"momentum": 0.9, "nesterov": True, "clipnorm": 0.5}),
    ("SGD", {"learning_rate": 0.1, "weight_decay": 0.01, "global_clipnorm": 0.7}),
    ("Adagrad", {"learning_rate": 0.1}),
    ("Adadelta", {"learning_rate": 1.0}),
    ("RMSprop", {}),
    ("RMSprop", {"momentum": 0.8, "centered": True, "clipvalue": 0.3}),
    ("Adam", {}),
    ("Adam", {"learning_rate": 0.05, "amsgrad": True, "weight_decay": 0.1}),
    ("Adam", {"epsilon": 1e-3, "use_ema": True, "ema_momentum": 0.8}),
    ("Adam", {"use_ema": True, "ema_overwrite_frequency": 3}),
    ("Adam", {"gradient_accumulation_steps": 4}),
    ("Adam", {"loss_scale_factor": 8.0}),
    ("AdamW", {"learning_rate": 0.01}),
    ("Adamax", {"learning_rate": 0.01}),
    ("Nadam", {"learning_rate": 0.01}),
    ("Ftrl", {"learning_rate": 0.1}),
    (
        "Ftrl",
        {
            "learning_rate": 0.1,
            "l1_regularization_strength": 0.01,
            "l2_regularization_strength": 0.02,
            "l2_shrinkage_regularization_strength": 0.03,
            "beta": 0.1,
        },
    ),
    ("Lion", {"learning_rate": 0.01}),
    ("Adafactor", {"learning_rate": 0.05}),
    ("Adafactor", {"learning_rate": 0.05, "relative_step": False}),
    ("Lamb", {"learning_rate": 0.01}),
]


def start(rng):
    return [rng.normal(size=shape).astype("float32") for shape in SHAPES]


def as_parameters(values):
    weights = [torch.nn.Parameter(torch.tensor(value)) for value in values]
    kernel = torch.tensor(values[2]).permute(3, 0, 1, 2).contiguous().permute(1, 2, 3, 0)
    weights[2] = torch.nn.Parameter(kernel)  # as a convolution keeps it: dense, but in another order
    assert not weights[2].is_contiguous()
    return weights


def gradients(rng):
    return [rng.normal(size=shape).astype("float32") for shape in SHAPES]


@pytest.mark.parametrize(("name", "arguments"), CASES, ids=[f"{n}-{'-'.join(a)}" for n, a in CASES])
def test_twenty_steps(name, arguments, rng):
    values = start(rng)
    ours, theirs = getattr(optimizers, name)(**arguments), getattr(keras.optimizers, name)(**arguments)
    weights = as_parameters(values)
    variables = [keras.Variable(value) for value in values]
    ours.build(weights)
    theirs.build(variables)
    for _ in range(20):
        grads = gradients(rng)
        ours.apply([torch.tensor(g) for g in grads])
        theirs.apply([torch.tensor(g) for g in grads], variables)
    for weight, variable in zip(weights, variables, strict=True):
        expected = variable.value.detach().numpy()
        np.testing.assert_allclose(weight.detach().numpy(), expected, rtol=3e-5, atol=3e-6)
    assert int(ours.iterations) == int(theirs.iterations)
    ours.finalize_variable_values(weights)
    theirs.finalize_variable_values(variables)
    for weight, variable in zip(weights, variables, strict=True):
        np.testing.assert_allclose(weight.detach().numpy(), variable.value.detach().numpy(), rtol=3e-5, atol=3e-6)


@pytest.mark.parametrize(("name", "arguments"), CASES, ids=[f"{n}-{'-'.join(a)}" for n, a in CASES])
def test_config_goes_both_ways(name, arguments):
    ours = getattr(optimizers, name)(**arguments)
    again = optimizers.deserialize(optimizers.serialize(ours))
    assert again.get_config() == ours.get_config()
    theirs = getattr(keras.optimizers, name)(**arguments)
    if name == "Lamb":  # Keras 3.15 cannot deserialize its own
        return
    assert keras.optimizers.deserialize(optimizers.serialize(ours)).get_config().keys() == theirs.get_config().keys()
    from_theirs = optimizers.deserialize(keras.optimizers.serialize(theirs))
    for key, value in ours.get_config().items():
        assert from_theirs.get_config()[key] == pytest.approx(value) if isinstance(value, float) else True


SCHEDULES = [
    ("ExponentialDecay", (0.1, 7, 0.6), {}),
    ("ExponentialDecay", (0.1, 7, 0.6), {"staircase": True}),
    ("InverseTimeDecay", (0.1, 7, 0.6), {}),
    ("InverseTimeDecay", (0.1, 7, 0.6), {"staircase": True}),
    ("PiecewiseConstantDecay", ([5, 11], [0.1, 0.02, 0.003]), {}),
    ("PolynomialDecay", (0.1, 13), {"power": 2.0}),
    ("PolynomialDecay", (0.1, 5), {"cycle": True}),
    ("CosineDecay", (0.1, 17), {"alpha": 0.1}),
    ("CosineDecay", (0.01, 17), {"warmup_target": 0.2, "warmup_steps": 6}),
    ("CosineDecayRestarts", (0.1, 5), {"m_mul": 0.8}),
    ("CosineDecayRestarts", (0.1, 5), {"t_mul": 1.0, "alpha": 0.1}),
]


@pytest.mark.parametrize(("name", "args", "kwargs"), SCHEDULES)
def test_schedule(name, args, kwargs):
    ours = getattr(optimizers.schedules, name)(*args, **kwargs)
    theirs = getattr(keras.optimizers.schedules, name)(*args, **kwargs)
    for step in range(40):
        assert ours(step) == pytest.approx(float(theirs(step)), rel=2e-4, abs=1e-7), step
    again = optimizers.schedules.deserialize(keras.optimizers.schedules.serialize(theirs))
    assert again(3) == pytest.approx(ours(3))


def test_schedule_drives_the_optimizer(rng):
    schedule = optimizers.schedules.ExponentialDecay(0.5, 2, 0.5)
    weight = torch.nn.Parameter(torch.ones(1))
    optimizer = optimizers.SGD(schedule)
    for _ in range(3):
        optimizer.apply([torch.ones(1)], [weight])
    assert weight.item() == pytest.approx(1 - 0.5 - 0.5 * 0.5**0.5 - 0.25)
    with pytest.raises(TypeError, match="follows a learning-rate schedule"):
        optimizer.learning_rate = 0.1


def test_loss_scale_skips_overflow_and_adapts():
    weight = torch.nn.Parameter(torch.ones(1))
    optimizer = optimizers.LossScaleOptimizer(optimizers.SGD(0.5), initial_scale=4.0, dynamic_growth_steps=2)
    optimizer.build([weight])
    assert optimizer.scale_loss(torch.tensor(2.0)).item() == 8.0
    optimizer.apply([torch.tensor([float("inf")])])
    assert weight.item() == 1.0
    assert optimizer.dynamic_scale == 2.0
    optimizer.apply([torch.tensor([2.0])])
    assert weight.item() == 0.5
    optimizer.apply([torch.tensor([0.0])])
    assert optimizer.dynamic_scale == 4.0


@pytest.mark.parametrize("name", ["SGD", "Adam", "Nadam", "Adafactor", "RMSprop"])
def test_state_dict_resumes_bit_equal(name, rng):
    values, steps = start(rng), [gradients(rng) for _ in range(6)]

    def run(optimizer, weights, some):
        for grads in some:
            optimizer.apply([torch.tensor(g) for g in grads], weights)

    make = getattr(optimizers, name)
    through, straight = make(0.01), as_parameters(values)
    run(through, straight, steps)
    first, weights = make(0.01), as_parameters(values)
    run(first, weights, steps[:3])
    second = make(0.01)
    second.build(weights)
    second.load_state_dict(first.state_dict())
    run(second, weights, steps[3:])
    for a, b in zip(weights, straight, strict=True):
        assert torch.equal(a, b)


def test_gradient_in_another_memory_order_is_the_same_step(rng):
    values = start(rng)[2]
    grad = torch.tensor(rng.normal(size=values.shape).astype("float32"))
    plain = torch.nn.Parameter(torch.tensor(values))
    turned = torch.nn.Parameter(torch.tensor(values).permute(3, 0, 1, 2).contiguous().permute(1, 2, 3, 0))
    optimizers.Adam(0.1).apply([grad], [plain])
    optimizers.Adam(0.1).apply([grad], [turned])
    torch.testing.assert_close(plain.detach(), turned.detach().contiguous())


def test_missing_gradient_leaves_the_weight(rng):
    a, b = (torch.nn.Parameter(torch.ones(2)) for _ in range(2))
    optimizer = optimizers.Adam(0.1)
    with pytest.warns(UserWarning, match="1 of 2 weights have no gradient"):
        optimizer.apply([None, torch.ones(2)], [a, b])
    assert torch.equal(a, torch.ones(2))
    assert not torch.equal(b, torch.ones(2))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: optimizers.get("adamm"), "Did you mean 'adam'"),
        (lambda: optimizers.Adam(clipnorm=1.0, clipvalue=1.0), "Only one kind of clipping"),
        (lambda: optimizers.Adam(-1.0), "must be a number of 0 or more"),
        (lambda: optimizers.SGD(momentum=2.0), "`momentum` must be from 0 to 1"),
        (lambda: optimizers.Adam(learning_rat=1.0), "has no argument 'learning_rat'"),
        (lambda: optimizers.SGD().apply([torch.ones(1)]), "has no weights yet"),
        (lambda: optimizers.schedules.ExponentialDecay(0.1, 0, 0.5), "`decay_steps` must be positive"),
    ],
)
def test_errors_say_what_is_wrong(make, message):
    with pytest.raises(ValueError, match=message):
        make()
