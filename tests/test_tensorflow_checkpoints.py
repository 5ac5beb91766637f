"""`tf.train.Checkpoint` and `CheckpointManager`: what was saved comes back, into objects with and without weights."""

import numpy as np
import pytest
import torch

import lamella.tensorflow_stand_in as tf
from lamella import layers
from lamella.errors import ArgumentError, FileError

X = torch.arange(18.0).reshape(6, 3) / 18


class Net(tf.keras.Model):
    def __init__(self):
        super().__init__()
        self.flatten = layers.Flatten()
        self.hidden = layers.Dense(4, "tanh")
        self.top = layers.Dense(2)

    def call(self, x):
        return self.top(self.hidden(self.flatten(x)))


def step(model, optimizer):
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(model(X) ** 2)
    optimizer.apply_gradients(
        zip(tape.gradient(loss, model.trainable_variables), model.trainable_variables, strict=True)
    )


def test_a_run_goes_on_where_it_was_saved_in_new_objects_without_weights(tmp_path):
    model, optimizer = Net(), tf.keras.optimizers.Adam(0.1)
    for _ in range(3):
        step(model, optimizer)
    path = tf.train.Checkpoint(model=model, optimizer=optimizer).save(tmp_path / "ckpt")
    assert path == str(tmp_path / "ckpt-1") == tf.train.latest_checkpoint(tmp_path)
    step(model, optimizer)

    again, fresh = Net(), tf.keras.optimizers.Adam(0.1)
    checkpoint = tf.train.Checkpoint(optimizer=fresh, model=again)
    status = checkpoint.restore(tf.train.latest_checkpoint(tmp_path))
    step(again, fresh)
    assert torch.equal(again(X), model(X)) and int(fresh.iterations) == 4 and int(checkpoint.save_counter) == 1
    status.assert_consumed()


def test_objects_that_have_weights_variables_metrics_and_lists_come_back(tmp_path):
    def parts():
        model = tf.keras.Sequential([layers.Input((3,)), layers.Dense(2), layers.BatchNormalization()])
        return {"model": model, "rest": [tf.Variable(2.0), tf.keras.metrics.Mean()], "n": tf.Variable([1, 2])}

    saved, other = parts(), parts()
    saved["rest"][0].assign(7.0)
    saved["rest"][1].update_state([3.0, 5.0])
    path = tf.train.Checkpoint(**saved).write(tmp_path / "deep" / "w")
    tf.train.Checkpoint(**other).restore(path).assert_consumed()
    assert torch.equal(other["model"](X), saved["model"](X))
    assert other["rest"][0].item() == 7 and float(other["rest"][1].result()) == 4 and other["n"].tolist() == [1, 2]
    assert other["n"].dtype is torch.int32


def test_what_does_not_match_is_said(tmp_path):
    path = tf.train.Checkpoint(a=tf.Variable(1.0)).save(tmp_path / "c")
    with pytest.raises(FileError, match="it was saved with a"):
        tf.train.Checkpoint(b=tf.Variable(1.0)).restore(path)
    with pytest.raises(FileError, match="it was saved with a"):
        tf.train.Checkpoint(net=Net()).restore(path)
    with pytest.raises(FileError, match=r"shape \(\)"):
        tf.train.Checkpoint(a=tf.Variable([1.0])).restore(path)
    with pytest.warns(UserWarning, match="no values for b"):
        status = tf.train.Checkpoint(a=tf.Variable(1.0), b=tf.Variable(1.0)).restore(path)
    with pytest.raises(AssertionError, match="'b'"):
        status.assert_existing_objects_matched()
    with pytest.raises(FileNotFoundError, match="no checkpoint"):
        tf.train.Checkpoint(a=tf.Variable(1.0)).restore(tmp_path / "other")
    with pytest.raises(ArgumentError, match=r"tf\.Variable\(number\)"):
        tf.train.Checkpoint(epoch=3)
    assert tf.train.Checkpoint(a=tf.Variable(1.0)).restore(None).unused == []


def test_the_manager_keeps_the_last_few_and_takes_them_over(tmp_path):
    v = tf.Variable(0.0)
    manager = tf.train.CheckpointManager(tf.train.Checkpoint(v=v), tmp_path, max_to_keep=2)
    assert manager.latest_checkpoint is None
    for i in range(3):
        v.assign(float(i))
        assert manager.save() == str(tmp_path / f"ckpt-{i + 1}")
    assert manager.checkpoints == [str(tmp_path / "ckpt-2"), str(tmp_path / "ckpt-3")]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["checkpoint", "ckpt-2.safetensors", "ckpt-3.safetensors"]

    again = tf.Variable(9.0)
    other = tf.train.CheckpointManager(tf.train.Checkpoint(v=again), tmp_path, max_to_keep=2)
    assert other.restore_or_initialize() == str(tmp_path / "ckpt-3") and again.item() == 2
    assert other.save() == str(tmp_path / "ckpt-4") and len(other.checkpoints) == 2


def test_an_interval_lets_saves_pass(tmp_path):
    steps = tf.Variable(0)
    manager = tf.train.CheckpointManager(
        tf.train.Checkpoint(steps=steps), tmp_path, None, step_counter=steps, checkpoint_interval=2
    )
    saved = []
    for i in range(4):
        steps.assign(i)
        saved.append(manager.save() is not None)
    assert saved == [True, False, True, False]


def test_two_tapes_over_the_same_operations_both_answer():
    """A GAN's step: the gradient of one tape does not take away what the other needs."""
    a, b = tf.Variable([2.0]), tf.Variable([3.0])
    with tf.GradientTape() as first, tf.GradientTape() as second:
        shared = tf.exp(a * b)
        one, two = shared * 2.0, shared * shared
    at_one = first.gradient(one, a)
    at_two = second.gradient(two, b)
    assert np.isclose(at_one.item(), 6 * np.exp(6)) and np.isclose(at_two.item(), 4 * np.exp(12))


def test_attributes_given_later_are_saved_and_restored(tmp_path):
    """As TensorFlow's guide has it: one variable has two paths, and is found by either."""
    saved = tf.train.Checkpoint()
    saved.listed = [tf.Variable(1.0)]
    saved.listed.append(tf.Variable(2.0))
    saved.mapped = {"one": saved.listed[0], "two": saved.listed[1]}
    saved.note = "which has no variables"
    path = saved.save(tmp_path / "ckpt")
    restored, two = tf.train.Checkpoint(), tf.Variable(0.0)
    restored.mapped = {"two": two}
    status = restored.restore(path)
    assert two.numpy() == 2 and status.missing == [] and status.unused == ["listed/0/0"]
    one = tf.Variable(0.0)
    restored.listed = [one]  # after restore(): as soon as it is there
    assert one.numpy() == 1
    status.assert_consumed()


def test_a_checkpoint_without_objects_waits_for_them(tmp_path):
    path = tf.train.Checkpoint(v=tf.Variable(3.0)).save(tmp_path / "ckpt")
    empty = tf.train.Checkpoint()
    status = empty.restore(path)
    empty.v = tf.Variable(0.0)
    assert empty.v.numpy() == 3
    status.assert_consumed()


def test_a_module_comes_back_with_all_that_it_holds(tmp_path):
    class Line(tf.Module):
        def __init__(self, start, parent=None):
            super().__init__()
            self.slope, self.parent, self.scale = tf.Variable(start), parent, 3.0
            self.inner = [] if parent else [Line(start + 1, self), tf.Variable(start + 2), "text"]

    saved, new = Line(1.0), Line(0.0)
    path = tf.train.Checkpoint(model=saved).write(tmp_path / "line")
    tf.train.Checkpoint(model=new).restore(path).assert_consumed().assert_existing_objects_matched()
    assert sorted(v.item() for v in new.variables) == sorted(v.item() for v in saved.variables) == [1, 2, 3]
