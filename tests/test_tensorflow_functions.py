"""`tf.function` with what scripts ask of it, and `tf.saved_model`."""

import pytest
import torch

import lamella
import lamella.tensorflow_stand_in as tf
from lamella import layers
from lamella.errors import ArgumentError, DTypeError, FileError


def test_a_signature_makes_tensors_and_is_kept_to():
    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32), tf.TensorSpec([], tf.string)])
    def double(x, name):
        return x * 2, name

    found, name = double([1, 2], "a")
    assert found.tolist() == [2, 4] and found.dtype == torch.float32 and name.numpy() == b"a"
    for wrong in ([[1.0]], torch.tensor([1])):  # as with TensorFlow, a tensor of another type is not cast
        with pytest.raises(DTypeError, match="double takes TensorSpec"):
            double(wrong, "a")
    assert double.get_concrete_function()([3.0], "b")[0].tolist() == [6]


def test_a_function_stays_what_it_is():
    def plain(x, scale=2.0):
        """Scales."""
        return x * scale

    assert tf.function(plain) is plain and tf.function(reduce_retracing=True)(plain) is plain
    assert plain.python_function is plain and plain.__doc__ == "Scales."
    concrete = plain.get_concrete_function(tf.TensorSpec([None], tf.float32), 3.0)
    assert concrete(torch.ones(2)).tolist() == [3, 3] and concrete.inputs == [tf.TensorSpec([None], tf.float32)]
    with pytest.raises(DTypeError):
        concrete(torch.ones(2, 2))
    named = plain.get_concrete_function(x=tf.TensorSpec([1]))
    assert named(x=torch.ones(1)).tolist() == [2] and "plain" in repr(named)


def test_what_was_no_tensor_is_kept_by_a_concrete_function():
    def power(base, exponent):
        return base**exponent

    square = tf.function(power).get_concrete_function(base=tf.TensorSpec([]), exponent=2)
    assert square(torch.tensor(3.0)).item() == square(base=torch.tensor(3.0)).item() == 9
    with pytest.raises(ArgumentError, match="needs base"):
        square()

    def scaled(owner, x):
        return owner["factor"] * x

    concrete = tf.function(scaled).get_concrete_function({"factor": 5.0}, torch.ones(2))
    assert concrete(torch.ones(2)).tolist() == [5, 5]

    def total(*terms):
        return sum(terms)

    assert tf.function(total).get_concrete_function(tf.TensorSpec([]), tf.TensorSpec([]))(1.0, 2.0).item() == 3


def test_methods_and_models():
    class Scale(tf.Module):
        def __init__(self):
            super().__init__()
            self.factor = tf.Variable(3.0)

        @tf.function(input_signature=[tf.TensorSpec([], tf.float32)])
        def __call__(self, x):
            return self.factor * x

        @tf.function
        def other(self, x):
            return x - self.factor

    scale = Scale()
    assert scale(2).item() == 6 and scale.other(torch.tensor(4.0)).item() == 1
    assert Scale.other.get_concrete_function(scale, tf.TensorSpec([]))(torch.tensor(5.0)).item() == 2
    assert scale.other.get_concrete_function(x=tf.TensorSpec([]))(torch.tensor(5.0)).item() == 2
    assert scale.__call__.get_concrete_function()(2.0).item() == 6
    with pytest.raises(ArgumentError, match="given the object first"):
        Scale.other.get_concrete_function(tf.TensorSpec([]))
    model = lamella.Sequential([layers.Input((2,)), layers.Dense(1)])
    x = torch.ones(3, 2)
    for run in (tf.function(model), tf.function(model.call)):
        assert torch.equal(run(x), model(x))
        assert torch.equal(run.get_concrete_function(tf.TensorSpec([None, 2]))(x), model(x))


def test_a_model_in_a_folder(tmp_path):
    inputs = {"a": layers.Input((2,), name="a"), "b": layers.Input((2,), name="b")}
    model = lamella.Model(inputs, layers.Dense(1)(inputs["a"] + inputs["b"]))
    tf.saved_model.save(model, str(tmp_path / "kept"))
    again = tf.saved_model.load(str(tmp_path / "kept"))
    x = {"a": torch.rand(3, 2), "b": torch.rand(3, 2)}
    assert torch.equal(again(x), model(x)) and len(again.variables) == 2
    assert torch.equal(again.signatures["serving_default"](**x)["output_0"], model(x))
    assert tf.saved_model.contains_saved_model(tmp_path / "kept")
    assert not tf.saved_model.contains_saved_model(tmp_path)


def test_what_cannot_be_in_a_folder(tmp_path):
    with pytest.raises(ArgumentError, match=r"a tf.Module is Python code.*tf.train.Checkpoint"):
        tf.saved_model.save(tf.Module(), tmp_path)
    with pytest.raises(FileError, match=r"no model.keras"):
        tf.saved_model.load(tmp_path)
    (tmp_path / "saved_model.pb").touch()
    for load in (tf.saved_model.load, tf.keras.models.load_model):
        with pytest.raises(FileError, match="SavedModel: a graph"):
            load(tmp_path)
    model = lamella.Sequential([layers.Input((2,)), layers.Dense(1)])
    with pytest.raises(ArgumentError, match=r"my_model\.keras"):
        model.save(tmp_path / "my_model")
    with pytest.warns(UserWarning, match="save_format='h5' is not needed"):
        model.save(tmp_path / "my_model.h5", save_format="h5")
    assert (tmp_path / "my_model.h5").exists()
