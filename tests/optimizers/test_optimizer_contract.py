"""What users rely on: names, configs, optimizers of their own, exact resume, and errors that say what is wrong."""

import copy
import pickle

import numpy as np
import pytest
import torch

from lamella import backend, optimizers
from lamella.engine.variable import Weight
from lamella.optimizers import schedules

keras = pytest.importorskip("keras")

NAMES = [
    "SGD",
    "Adagrad",
    "Adadelta",
    "RMSprop",
    "Adam",
    "AdamW",
    "Adamax",
    "Nadam",
    "Ftrl",
    "Lion",
    "Adafactor",
    "Lamb",
]

# in Keras 3.15 and not here yet; a name that is added must leave this list
MISSING: set[str] = set()


def public(module):
    return {name for name in dir(module) if not name.startswith("_")}


def test_public_names_are_those_of_keras():
    assert public(keras.optimizers) - public(optimizers) == MISSING
    assert public(keras.optimizers.schedules) <= public(schedules)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("spell", [str, str.lower, str.upper])
def test_get_by_name(name, spell):
    assert type(optimizers.get(spell(name))) is getattr(optimizers, name)
    assert type(optimizers.deserialize({"class_name": spell(name), "config": {}})) is getattr(optimizers, name)


def test_get_by_class_object_and_config():
    adam = optimizers.Adam(0.5)
    assert optimizers.get(adam) is adam
    assert type(optimizers.get(optimizers.Adam)) is optimizers.Adam
    assert optimizers.get(optimizers.serialize(adam)).learning_rate == 0.5


@pytest.mark.parametrize("name", NAMES)
def test_arguments_and_defaults_are_those_of_keras(name):
    ours, theirs = getattr(optimizers, name)().get_config(), getattr(keras.optimizers, name)().get_config()
    ours.pop("name"), theirs.pop("name")
    assert ours.keys() == theirs.keys()
    for key, value in theirs.items():
        assert ours[key] == (pytest.approx(value) if isinstance(value, float) else value), key


@pytest.mark.parametrize("name", ["Adam", "SGD"])
def test_config_with_a_schedule_goes_both_ways(name):
    ours = getattr(optimizers, name)(schedules.CosineDecay(0.1, 20, alpha=0.2))
    theirs = keras.optimizers.deserialize(optimizers.serialize(ours))
    back = optimizers.deserialize(keras.optimizers.serialize(theirs))
    assert back.get_config() == ours.get_config()
    assert back._learning_rate(7) == pytest.approx(ours._learning_rate(7))


def test_config_of_a_loss_scale_optimizer_goes_both_ways():
    ours = optimizers.LossScaleOptimizer(optimizers.SGD(0.25, momentum=0.5), 8.0, 3, name="scaled")
    theirs = keras.optimizers.deserialize(optimizers.serialize(ours))
    assert theirs.initial_scale == 8.0 and theirs.inner_optimizer.momentum == 0.5
    assert optimizers.deserialize(keras.optimizers.serialize(theirs)).get_config() == ours.get_config()
    optimizers.LossScaleOptimizer(optimizers.SGD(), ema_momentum=0.99, use_ema=False)  # as old configs have it


def test_a_schedule_of_your_own_comes_back_from_a_config():
    class Halving(schedules.LearningRateSchedule):
        def __init__(self, start):
            self.start = start

        def __call__(self, step):
            return self.start * 0.5 ** int(step)

    config = optimizers.serialize(optimizers.SGD(Halving(0.5)))
    again = optimizers.deserialize(copy.deepcopy(config), custom_objects={"Halving": Halving})
    assert again._learning_rate(1) == 0.25


class KerasStyle(optimizers.Optimizer):
    """Written as Keras's guide writes it."""

    def __init__(self, learning_rate=0.01, momentum=0.9, **kwargs):
        super().__init__(learning_rate=learning_rate, **kwargs)
        self.momentum = momentum

    def build(self, variables):
        if self.built:
            return
        super().build(variables)
        self.velocities, self.counts = self.add_optimizer_variables(variables, ["velocity", "count"], ["zeros", "ones"])
        self.single = self.add_variable((), initializer="zeros", dtype="int64", name="single")

    def update_step(self, gradient, variable, learning_rate):
        velocity = self.velocities[self._get_variable_index(variable)]
        self.assign(velocity, velocity * self.momentum - gradient * learning_rate)
        self.assign_add(variable, velocity)
        self.assign_add(self.counts[self._get_variable_index(variable)], 1)

    def get_config(self):
        return {**super().get_config(), "momentum": self.momentum}


@pytest.mark.parametrize("options", [{}, {"clipnorm": 0.5, "weight_decay": 0.1}, {"gradient_accumulation_steps": 2}])
def test_an_optimizer_of_your_own(options, rng):
    own, ready = KerasStyle(0.1, **options), optimizers.SGD(0.1, momentum=0.9, **options)
    weights = [[torch.nn.Parameter(torch.ones(2, 3)), torch.nn.Parameter(torch.ones(4))] for _ in range(2)]
    for _ in range(6):
        gradients = [torch.tensor(rng.normal(size=w.shape).astype("float32")) for w in weights[0]]
        own.apply(gradients, weights[0])
        ready.apply(gradients, weights[1])
    for a, b in zip(*weights, strict=True):
        torch.testing.assert_close(a, b)
    updates = 6 // options.get("gradient_accumulation_steps", 1)
    assert own.counts[1].tolist() == [1.0 + updates] * 4
    assert own.single.dtype is torch.int64
    assert any(variable is own.counts[0] for variable in own.variables)
    assert KerasStyle.from_config(own.get_config()).get_config() == own.get_config()


def test_slots_of_your_own_resume(rng):
    def run(optimizer, weight, gradients):
        for gradient in gradients:
            optimizer.apply([gradient], [weight])

    gradients = [torch.tensor(rng.normal(size=3).astype("float32")) for _ in range(6)]
    straight, resumed = (torch.nn.Parameter(torch.ones(3)) for _ in range(2))
    run(KerasStyle(), straight, gradients)
    first, second = KerasStyle(), KerasStyle()
    run(first, resumed, gradients[:3])
    second.build([resumed])
    second.load_state_dict(first.state_dict())
    run(second, resumed, gradients[3:])
    assert torch.equal(straight, resumed)


def test_slots_start_from_any_initializer():
    class Own(optimizers.Optimizer):
        def update_step(self, gradient, variable, learning_rate):
            raise AssertionError

    optimizer = Own()
    weight = torch.nn.Parameter(torch.zeros(200, 5).t())
    optimizer.build([weight])
    slot = optimizer.add_variable_from_reference(weight, "noise", initializer="random_normal")
    assert slot.shape == weight.shape and slot.stride() == weight.stride()
    assert 0.03 < slot.std().item() < 0.07
    with pytest.raises(ValueError, match="2 names, but 1 initializers"):
        optimizer.add_optimizer_variables([weight], ["a", "b"], ["zeros"])


RESUMABLE = [(name, {}) for name in NAMES] + [
    ("SGD", {"momentum": 0.9, "nesterov": True}),
    ("RMSprop", {"momentum": 0.5, "centered": True}),
    ("Adam", {"amsgrad": True, "use_ema": True, "ema_overwrite_frequency": 4}),
    ("Nadam", {"gradient_accumulation_steps": 2}),
]


@pytest.mark.parametrize("from_config", [False, True])
@pytest.mark.parametrize(("name", "arguments"), RESUMABLE, ids=[f"{n}-{'-'.join(a)}" for n, a in RESUMABLE])
def test_resume_is_bit_equal(name, arguments, from_config, rng):
    def weights():
        kernel = torch.ones(4, 3, 3, 2).permute(1, 2, 3, 0)
        return [torch.nn.Parameter(torch.ones(5, 4)), torch.nn.Parameter(torch.ones(4)), torch.nn.Parameter(kernel)]

    def run(optimizer, weights, steps):
        for gradients in steps:
            optimizer.apply(gradients, weights)

    steps = [[torch.tensor(rng.normal(size=w.shape).astype("float32")) for w in weights()] for _ in range(10)]
    straight, stopped = weights(), weights()
    run(getattr(optimizers, name)(0.01, **arguments), straight, steps)
    first = getattr(optimizers, name)(0.01, **arguments)
    run(first, stopped, steps[:5])
    if from_config:
        second = optimizers.deserialize(optimizers.serialize(first))
    else:
        second = getattr(optimizers, name)(0.5, **arguments)  # the rate is part of the state
    second.build(stopped)
    second.load_state_dict(pickle.loads(pickle.dumps(first.state_dict())))
    run(second, stopped, steps[5:])
    for a, b in zip(straight, stopped, strict=True):
        assert torch.equal(a, b)


def test_a_loss_scale_optimizer_resumes():
    def run(optimizer, weight, values):
        for value in values:
            optimizer.apply([torch.tensor([value])], [weight])

    values = [1.0, float("inf"), 2.0, 3.0, 4.0, 5.0]
    straight, stopped = (torch.nn.Parameter(torch.ones(1)) for _ in range(2))

    def make():
        return optimizers.LossScaleOptimizer(optimizers.Adam(0.1), 8.0, 3)

    run(make(), straight, values)
    first, second = make(), make()
    run(first, stopped, values[:3])
    second.build([stopped])
    second.load_state_dict(first.state_dict())
    run(second, stopped, values[3:])
    assert torch.equal(straight, stopped)
    assert int(second.iterations) == 5


class Named(Weight):
    name = None


def named(name):
    weight = Named(torch.ones(2))
    weight.name = name
    return weight


def test_weight_decay_leaves_out_what_it_is_told_to():
    kernel, bias, scale = named("kernel"), named("bias"), named("scale")
    optimizer = optimizers.SGD(1.0, weight_decay=0.5)
    optimizer.exclude_from_weight_decay(var_list=[scale], var_names=["^bi.s$"])
    optimizer.apply([torch.zeros(2)] * 3, [kernel, bias, scale])
    assert [w.tolist() for w in (kernel, bias, scale)] == [[0.5, 0.5], [1.0, 1.0], [1.0, 1.0]]
    optimizer.exclude_from_weight_decay(var_list=[kernel])  # in place of what was said before
    optimizer.apply([torch.zeros(2)] * 3, [kernel, bias, scale])
    assert [w.tolist() for w in (kernel, bias, scale)] == [[0.5, 0.5], [0.5, 0.5], [0.5, 0.5]]


def test_names_for_nameless_weights_are_refused():
    optimizer = optimizers.SGD(1.0, weight_decay=0.5)
    optimizer.exclude_from_weight_decay(var_names=["bias"])
    with pytest.raises(ValueError, match=r"needs weights with names.*var_list"):
        optimizer.build([torch.nn.Parameter(torch.ones(2))])


@pytest.mark.parametrize("make", [lambda: optimizers.SGD(), lambda: optimizers.Adam(), lambda: optimizers.Lamb()])
def test_no_gradients_are_no_step(make):
    optimizer = make()
    optimizer.apply([])
    optimizer.apply_gradients([])
    assert int(optimizer.iterations) == 0


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("shape", [(2, 3), (3,), (1, 3), (3, 4), (4, 3, 1)])
def test_a_gradient_of_another_shape_is_refused(name, shape):
    weight = torch.nn.Parameter(torch.ones(4, 3))
    with pytest.raises(ValueError, match=r"gradient has shape .*, its weight \(4, 3\)"):
        getattr(optimizers, name)().apply([torch.ones(shape)], [weight])
    assert torch.equal(weight, torch.ones(4, 3))


def test_a_norm_that_is_not_finite_shows_in_every_weight():
    weights = [torch.nn.Parameter(torch.ones(2)) for _ in range(2)]
    optimizers.SGD(0.1, global_clipnorm=1.0).apply([torch.tensor([1.0, float("inf")]), torch.ones(2)], weights)
    assert all(weight.isnan().any() for weight in weights)


def test_decay_of_old_scripts_is_ignored_aloud():
    with pytest.warns(UserWarning, match="`decay` is no longer supported"):
        assert optimizers.Adam(decay=1e-6).learning_rate == 0.001


@pytest.mark.parametrize("step", [0, 7, 10, 15, 21, 1_000_003])
def test_restarts_of_equal_length_reach_far(step):
    ours = schedules.CosineDecayRestarts(0.1, 10, t_mul=1.0, m_mul=0.999)
    done = step % 10
    assert ours(step) == pytest.approx(0.05 * 0.999 ** (step // 10) * (1 + np.cos(np.pi * done / 10)))


def test_restarts_that_get_shorter_end():
    ours = schedules.CosineDecayRestarts(0.1, 16, t_mul=0.5, alpha=0.25)
    theirs = keras.optimizers.schedules.CosineDecayRestarts(0.1, 16, t_mul=0.5, alpha=0.25)
    for step in (0, 5, 15, 17, 23, 26, 29):
        assert ours(step) == pytest.approx(float(theirs(step)), rel=1e-4), step
    assert ours(32) == ours(10_000) == pytest.approx(0.025)


@pytest.mark.parametrize("step", [5, torch.tensor(5), np.int64(5)])
def test_schedules_take_any_kind_of_step(step):
    assert schedules.InverseTimeDecay(0.1, 5, 1.0)(step) == pytest.approx(0.05)


W = torch.nn.Parameter(torch.ones(2))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: optimizers.Adam(None), "must be a number of 0 or more, or a schedule; got None"),
        (lambda: optimizers.Adam("fast"), "must be a number of 0 or more, or a schedule; got 'fast'"),
        (lambda: optimizers.Adam(use_ema=True, ema_momentum=1.5), "`ema_momentum` must be from 0 to 1"),
        (lambda: optimizers.Adam(use_ema=True, ema_overwrite_frequency=0), "`ema_overwrite_frequency` must be"),
        (lambda: optimizers.Adam(gradient_accumulation_steps=1), "`gradient_accumulation_steps` must be 2 or more"),
        (lambda: optimizers.AdamW(weight_decay=None), "for none use Adam"),
        (lambda: optimizers.Lion(beta_1=0.0), "`beta_1` must be above 0"),
        (lambda: optimizers.Ftrl(learning_rate_power=0.5), "`learning_rate_power` 0 or less"),
        (lambda: optimizers.LossScaleOptimizer("adam"), "wraps an optimizer; got 'adam'"),
        (lambda: optimizers.LossScaleOptimizer(optimizers.SGD(), clipnorm=1.0), "Set clipnorm on the inner"),
        (lambda: optimizers.LossScaleOptimizer(optimizers.SGD(), growth=2), "Set growth on the inner"),
        (lambda: optimizers.SGD().apply([None], [W]), "No weight has a gradient"),
        (lambda: optimizers.LossScaleOptimizer(optimizers.SGD()).apply([None], [W]), "No weight has a gradient"),
        (lambda: optimizers.SGD().apply([torch.ones(2)] * 2, [W]), "2 gradients for 1 weights"),
        (lambda: schedules.deserialize("ExponentialDekay"), "Did you mean 'ExponentialDecay'"),
        (lambda: schedules.PiecewiseConstantDecay([1], [0.1]), "one value more than boundaries"),
        (lambda: schedules.CosineDecay(0.1, -1), "`decay_steps` must be positive"),
        (lambda: schedules.CosineDecayRestarts(0.1, 0), "`first_decay_steps` must be positive"),
    ],
)
def test_errors_say_what_is_wrong(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_weights_of_another_model_are_refused():
    optimizer = optimizers.Adam()
    optimizer.build([torch.nn.Parameter(torch.ones(2))])
    with pytest.raises(ValueError, match="built for other weights"):
        optimizer.apply([torch.ones(2)], [torch.nn.Parameter(torch.ones(2))])
    state = optimizer.state_dict()
    with pytest.raises(ValueError, match="another optimizer, or of other weights"):
        optimizers.SGD().load_state_dict(state)


def test_the_learning_rate_is_a_number_that_can_be_assigned():
    optimizer = optimizers.Adam(0.5)
    rate = optimizer.learning_rate
    assert rate == 0.5 and isinstance(rate, float) and rate.numpy() * 2 == 1 and rate.value == 0.5
    assert rate.assign(0.25) == optimizer.learning_rate == 0.25
    backend.set_value(optimizer.learning_rate, 0.125)
    assert backend.get_value(optimizer.learning_rate) == np.float32(0.125)
    assert type(pickle.loads(pickle.dumps(optimizer.learning_rate))) is float
    assert optimizer.lr == 0.125  # its name in Keras 2
    optimizer.lr = 0.5
    assert optimizer.learning_rate == 0.5
    scheduled = optimizers.SGD(optimizers.schedules.ExponentialDecay(0.1, 10, 0.5))
    with pytest.raises(TypeError, match="schedule"):
        scheduled.learning_rate.assign(0.1)
