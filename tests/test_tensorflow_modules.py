"""`tf.Module`, gradients that a script gives itself, and what `tf.debugging` says, as TensorFlow 2.21 has them."""

import fresh
import pytest
import torch

import lamella.tensorflow_stand_in as tf
from lamella import layers
from lamella.errors import ArgumentError, DTypeError, NonFiniteError, ShapeError


class Dense(tf.Module):
    def __init__(self, units, name=None):
        super().__init__(name=name)
        self.w = tf.Variable(tf.ones([2, units]), name="w")
        self.b = tf.Variable(tf.zeros([units]), trainable=False, name="b")

    def __call__(self, x):
        return tf.matmul(x, self.w) + self.b


class TwoDenseLayers(tf.Module):
    def __init__(self):
        super().__init__()
        self.z_first = tf.Variable(7.0)
        self.parts = {"b": [Dense(3)], "a": (Dense(4, name="other"), None)}
        self.again = self.parts["b"][0]


def test_a_module_collects_variables_and_modules_once_in_the_order_of_their_names():
    module = TwoDenseLayers()
    again, other = module.again, module.parts["a"][0]
    assert [tuple(each.shape) for each in module.variables] == [(), (3,), (2, 3), (4,), (2, 4)]
    assert [tuple(each.shape) for each in module.trainable_variables] == [(), (2, 3), (2, 4)]
    assert [each.ndim for each in module.non_trainable_variables] == [1, 1]
    assert module.submodules == (again, other)
    assert (module.name, again.name, other.name) == ("two_dense_layers", "dense", "other")


def test_a_name_of_a_module_is_an_identifier():
    with pytest.raises(ArgumentError, match="identifier"):
        Dense(2, name="my module")


def test_a_module_trains_and_counts_the_weights_of_layers():
    module = Dense(1)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(module(tf.constant([[1.0, 2.0]])))
    assert [each.tolist() for each in tape.gradient(loss, module.trainable_variables)] == [[[1], [2]]]
    module.layer = layers.Dense(5)
    module.layer.build((None, 2))
    assert len(module.variables) == 4 and len(module.trainable_variables) == 3


def test_a_gradient_of_ones_own_takes_that_of_the_result():
    @tf.custom_gradient
    def log1pexp(x):
        e = tf.exp(x)
        return tf.math.log(1 + e), lambda upstream_of_it: upstream_of_it * (1 - 1 / (1 + e))

    x = tf.constant(1.0)
    with tf.GradientTape() as outer:
        outer.watch(x)
        with tf.GradientTape() as inner:
            inner.watch(x)
            y = log1pexp(x)
        first = inner.gradient(y, x)
    sigmoid = torch.sigmoid(torch.tensor(1.0))
    torch.testing.assert_close(first.detach(), sigmoid)
    torch.testing.assert_close(outer.gradient(first, x), sigmoid * (1 - sigmoid))


def test_a_gradient_of_ones_own_for_several_results_and_variables():
    w = tf.Variable(2.0)

    @tf.custom_gradient
    def both(x, y):
        def gradient(of_sum, of_product, variables):
            assert len(variables) == 1 and variables[0] is w
            return (of_sum * 10, of_product * 100), [of_sum * 1000]

        return (x + y * w, x * y), gradient

    x, y = tf.Variable(3.0), tf.Variable(4.0)
    with tf.GradientTape() as tape:
        total, product = both(x, y)
        result = total + 2 * product
    assert (total.item(), product.item()) == (11, 12)
    assert [each.item() for each in tape.gradient(result, [x, y, w])] == [10, 200, 1000]


def test_a_tape_that_is_reset_forgets_what_was_recorded():
    x, y = tf.Variable(2.0), tf.Variable(3.0)
    with tf.GradientTape() as tape:
        before = y * y
        tape.reset()
        z = x * x + before
    found = tape.gradient(z, [x, y], unconnected_gradients=tf.UnconnectedGradients.NONE)
    assert found[0].item() == 4 and found[1] is None


def test_a_jacobian_for_each_sample():
    x = tf.reshape(tf.range(6.0), (2, 3))
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(x)
        y = tf.stack([tf.reduce_sum(x**2, 1), x[:, 0] * x[:, 2]], 1)
    found = tape.batch_jacobian(y, x)
    assert found.tolist() == [[[0, 2, 4], [2, 0, 0]], [[6, 8, 10], [5, 0, 3]]]
    with pytest.raises(ShapeError, match="first axis"):
        tape.batch_jacobian(y, tf.ones((3, 1)))


@pytest.mark.parametrize(
    ("name", "arguments", "error"),
    [
        ("assert_equal", ([1, 2], [1, 3]), ArgumentError),
        ("assert_equal", ([1, 2], [1, 2, 3]), ArgumentError),
        ("assert_equal", ("a", "b"), ArgumentError),
        ("assert_none_equal", ([1, 2], [2, 2]), ArgumentError),
        ("assert_less", ([1, 2], 2), ArgumentError),
        ("assert_less_equal", ([1, 3], 2), ArgumentError),
        ("assert_greater", ([1, 3], 1), ArgumentError),
        ("assert_greater_equal", ([1, 3], 2), ArgumentError),
        ("assert_positive", ([1.0, 0.0],), ArgumentError),
        ("assert_negative", ([-1.0, 0.0],), ArgumentError),
        ("assert_non_negative", ([-1.0, 0.0],), ArgumentError),
        ("assert_non_positive", ([1.0, 0.0],), ArgumentError),
        ("assert_near", (1.0, 1.1), ArgumentError),
        ("assert_rank", ([1.0], 2), ShapeError),
        ("assert_shapes", ([(torch.ones(2, 3), ("n", "n"))],), ShapeError),
        ("assert_shapes", ([(torch.ones(2, 3), (..., 2))],), ShapeError),
        ("assert_type", (1.0, torch.int32), DTypeError),
        ("assert_all_finite", ([1.0, float("nan")], "hm"), NonFiniteError),
        ("check_numerics", ([1.0, float("inf")], "hm"), NonFiniteError),
    ],
)
def test_what_must_hold_is_said_where_it_does_not(name, arguments, error):
    with pytest.raises(error, match=r"tf\.debugging"):
        getattr(tf.debugging, name)(*arguments)
    try:
        getattr(tf.debugging, name)(*arguments)
    except tf.errors.InvalidArgumentError:
        pass
    except TypeError:
        assert error is DTypeError


def test_nothing_is_said_where_it_holds():
    tf.debugging.assert_equal(torch.ones(2, 3).shape, (2, 3))
    tf.debugging.assert_equal("a", "a", message="alike")
    tf.debugging.assert_less([1, 2], 3)
    tf.debugging.assert_near(1.0, 1.05, atol=0.1)
    tf.debugging.assert_shapes([(torch.ones(4, 2, 3), (..., "n", 3)), (torch.ones(2), ("n",))])
    assert tf.debugging.check_numerics([1.0, 2.0], "hm").tolist() == [1, 2]


def test_a_function_of_python_that_gives_nothing():
    called = []
    assert tf.py_function(lambda: called.append(1), [], ()) == [] and called == [1]


def test_one_item_of_lists_is_tensors():
    batches = list(tf.data.Dataset.from_tensors(([1.0], {"y": [2.0]})).repeat(4).batch(2))
    assert len(batches) == 2
    assert batches[0][0].tolist() == [[1], [1]] and batches[0][1]["y"].tolist() == [[2], [2]]


def test_what_is_assigned_has_the_shape_of_the_variable():
    v = tf.Variable([1.0, 2.0])
    for value in (5.0, [5.0], [[3.0, 4.0]]):
        with pytest.raises(ShapeError, match="must be equal"):
            v.assign(value)
        with pytest.raises(ShapeError, match="must be equal"):
            v.assign_add(value)
        with pytest.raises(ShapeError, match="must be equal"):
            v.assign_sub(value)
    assert v.assign([3, 4]).tolist() == [3, 4]


def test_a_generator_draws_what_its_seed_determines():
    generator = tf.random.Generator.from_seed(1, alg="philox")
    first = generator.normal([3])
    assert not torch.equal(first, generator.normal([3]))
    a, b = generator.split(2)
    assert not torch.equal(a.uniform([3]), b.uniform([3]))
    generator.reset_from_seed(1)
    assert torch.equal(first, generator.normal([3]))
    whole = generator.uniform([500], 2, 5, dtype=tf.int32)
    assert whole.dtype is torch.int32 and sorted(set(whole.tolist())) == [2, 3, 4]
    assert float(generator.truncated_normal([500], 1.0, 0.5).sub(1).abs().max()) <= 1
    with pytest.raises(ArgumentError, match="maxval"):
        generator.uniform([2], dtype=tf.int64)
    tf.random.set_global_generator(generator)
    assert tf.random.get_global_generator() is generator


@pytest.mark.parametrize("name", ["stateless_normal", "stateless_uniform", "stateless_truncated_normal"])
def test_what_has_no_state_draws_the_same_for_the_same_seed(name):
    draw = getattr(tf.random, name)
    assert torch.equal(draw([3], seed=[1, 2]), draw([3], seed=[1, 2]))
    assert not torch.equal(draw([3], seed=[1, 2]), draw([3], seed=[2, 1]))


BACKWARDS = """
import lamella.keras_alias
lamella.keras_alias.install()
import numpy as np, torch, tensorflow as tf
a = np.arange(24).reshape(2, 3, 4)
t = tf.constant(a)
places = [
    np.s_[::-1], np.s_[::-1, 0], np.s_[..., ::-1], np.s_[:, ::-1, 1], np.s_[0, ::-1, None, ::-2], np.s_[:, 2:0:-1],
    np.s_[None, ..., 3:1:-1, -1], np.s_[1, 1, -2::-3], np.s_[:, 0:2:-1], np.s_[::-1, ::-1, ::-1], np.s_[:, 7::-1],
]
for place in places:
    assert np.array_equal(a[place], t[place].numpy()) and a[place].shape == tuple(t[place].shape), place
v = tf.Variable([1.0, 2.0, 3.0])
with tf.GradientTape() as tape:
    y = tf.reduce_sum(v[::-1] * [1.0, 10.0, 100.0])
assert tape.gradient(y, v).tolist() == [100, 10, 1]
x = tf.keras.Input((4,))
model = tf.keras.Model(x, x[:, ::-1])
assert model(tf.constant([[1.0, 2.0, 3.0, 4.0]])).tolist() == [[4, 3, 2, 1]]
"""


def test_slices_go_backwards():
    fresh.check(["-c", BACKWARDS])


LISTS = """
import lamella.keras_alias
lamella.keras_alias.install()
import torch, tensorflow as tf
a, b = tf.constant(2.0), tf.Variable(3.0)
assert torch.tensor([a, b]).tolist() == torch.as_tensor([a, 3.0]).tolist() == torch.tensor((a, b)).tolist() == [2, 3]
assert torch.tensor([[a.double(), b], [1, 2]]).dtype is torch.float64
assert torch.tensor([a], dtype=torch.int8).item() == 2
with tf.GradientTape() as tape:
    y = tf.reduce_sum(tf.convert_to_tensor([[a, b], [b, 1.0]]) * [[1.0, 10.0], [100.0, 1000.0]])
assert y.item() == 1332 and tape.gradient(y, b).item() == 110
"""


def test_lists_of_tensors_of_one_number():
    fresh.check(["-c", LISTS])
