"""Names and configs: `get`, `as_loss`, `serialize`, `deserialize`, to and from real Keras."""

from __future__ import annotations

import copy
import json
import pickle

import pytest
import torch
from loss_cases import CASES, IDS, inputs

from lamella import losses
from lamella.engine.registry import register_keras_serializable
from lamella.errors import ArgumentError, UnknownNameError

keras = pytest.importorskip("keras")
from keras.src.losses import ALL_OBJECTS_DICT  # noqa: E402
from keras.src.losses.losses import LossFunctionWrapper as KerasWrapper  # noqa: E402


def tensors(kind):
    return tuple(torch.tensor(x) for x in inputs(kind))


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_own_config(case):
    name, kwargs, kind = case
    loss = getattr(losses, name)(**kwargs, reduction="sum", name="mine")
    config = json.loads(json.dumps(losses.serialize(loss)))
    assert (config["module"], config["class_name"], config["registered_name"]) == ("keras.losses", name, None)
    again = losses.deserialize(config)
    assert type(again) is type(loss)
    assert again.get_config() == loss.get_config()
    assert (again.name, again.reduction) == ("mine", "sum")
    torch.testing.assert_close(again(*tensors(kind)), loss(*tensors(kind)))


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_config_from_keras(case):
    name, kwargs, kind = case
    theirs = getattr(keras.losses, name)(**kwargs)
    ours = losses.deserialize(keras.losses.serialize(theirs))
    assert type(ours) is getattr(losses, name)
    config = theirs.get_config()
    assert {key: ours.get_config()[key] for key in config} == config
    if set(kwargs) <= set(config):  # Keras forgets some arguments, such as Huber's delta
        torch.testing.assert_close(ours(*tensors(kind)), theirs(*tensors(kind)), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("case", [c for c in CASES if c[0] != "CategoricalGeneralizedCrossEntropy"])
def test_config_to_keras(case):
    name, kwargs, kind = case
    ours = getattr(losses, name)(**kwargs, reduction="sum")
    theirs = keras.losses.deserialize(json.loads(json.dumps(losses.serialize(ours))))
    assert type(theirs) is getattr(keras.losses, name)
    torch.testing.assert_close(ours(*tensors(kind)), theirs(*tensors(kind)), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_copies(case):
    name, kwargs, kind = case
    loss = getattr(losses, name)(**kwargs)
    for again in (copy.deepcopy(loss), pickle.loads(pickle.dumps(loss))):
        torch.testing.assert_close(again(*tensors(kind)), loss(*tensors(kind)))


@pytest.mark.parametrize("name", sorted(set(ALL_OBJECTS_DICT) - {"Loss", "LossFunctionWrapper"}))
def test_get_like_keras(name):
    ours, theirs = losses.get(name), keras.losses.get(name)
    if isinstance(theirs, keras.losses.Loss):
        assert type(ours) is getattr(losses, name)
        assert ours.name == theirs.name
    else:
        assert ours.__name__ == theirs.__name__
        assert losses.get(ours) is ours


def test_get_of_other_things():
    loss = losses.Huber()
    assert losses.get(None) is None
    assert losses.get(loss) is loss
    assert isinstance(losses.get(losses.Huber), losses.Huber)
    assert losses.get({"class_name": "Huber", "config": {"delta": 2.0}}).delta == 2.0
    assert losses.get(keras.losses.serialize(keras.losses.huber)) is losses.huber


def test_unknown_names():
    with pytest.raises(UnknownNameError, match=r"Unknown loss 'mean_squared_eror'.*'mean_squared_error'"):
        losses.get("mean_squared_eror")
    with pytest.raises(ArgumentError, match="Cannot make a loss of 3"):
        losses.get(3)
    with pytest.raises(UnknownNameError, match="Nonsense"):
        losses.deserialize({"class_name": "Nonsense", "config": {}})


@pytest.mark.parametrize("name", sorted(n for n in ALL_OBJECTS_DICT if n[0].islower()))
def test_as_loss_gives_the_class_of_a_function(name):
    loss = losses.as_loss(name)
    assert type(loss) is not losses.LossFunctionWrapper
    assert loss.fn is losses.get(name)
    assert losses.as_loss(loss) is loss


def test_as_loss_wraps_other_functions():
    class Callable:
        __hash__ = None

        def __call__(self, y_true, y_pred):
            return (y_true - y_pred).abs()

    def absolute(y_true, y_pred):
        return (y_true - y_pred).abs()

    assert losses.as_loss(absolute).name == "absolute"
    for loss in (losses.as_loss(absolute), losses.as_loss(Callable())):
        assert loss([1.0], [3.0]).item() == 2.0
    with pytest.raises(ArgumentError, match="got None"):
        losses.as_loss(None)


def test_functions_both_ways():
    for name in ("huber", "mean_squared_error", "sparse_categorical_crossentropy"):
        function = getattr(losses, name)
        assert losses.deserialize(losses.serialize(function)) is function
        assert keras.losses.deserialize(losses.serialize(function)) is getattr(keras.losses, name)
        assert losses.deserialize(keras.losses.serialize(getattr(keras.losses, name))) is function


def test_wrapper_both_ways():
    y_true, y_pred = tensors("real")
    ours = losses.LossFunctionWrapper(losses.huber, delta=0.3, name="mine", reduction="sum")
    expected = losses.Huber(delta=0.3, reduction="sum")(y_true, y_pred)
    again = losses.deserialize(json.loads(json.dumps(losses.serialize(ours))))
    from_keras = losses.deserialize(
        keras.losses.serialize(KerasWrapper(keras.losses.huber, delta=0.3, name="mine", reduction="sum"))
    )
    to_keras = keras.losses.deserialize(losses.serialize(ours))
    for loss in (again, from_keras, to_keras):
        assert (loss.name, loss.reduction) == ("mine", "sum")
        torch.testing.assert_close(loss(y_true, y_pred), expected)


def test_registered_functions_and_classes():
    @register_keras_serializable(package="loss_tests")
    def absolute(y_true, y_pred):
        return (y_true - y_pred).abs().mean(-1)

    @register_keras_serializable(package="loss_tests")
    class Own(losses.Loss):
        def __init__(self, power=1, **kwargs):
            super().__init__(**kwargs)
            self.power = power

        def call(self, y_true, y_pred):
            return ((y_true - y_pred) ** self.power).mean(-1)

        def get_config(self):
            return {**super().get_config(), "power": self.power}

    assert losses.deserialize(losses.serialize(absolute)) is absolute
    wrapped = losses.LossFunctionWrapper(absolute)
    assert losses.deserialize(losses.serialize(wrapped)).fn is absolute
    own = losses.deserialize(losses.serialize(Own(power=3, reduction="sum")))
    assert type(own) is Own
    assert (own.power, own.reduction) == (3, "sum")


def test_custom_objects():
    def absolute(y_true, y_pred):
        return (y_true - y_pred).abs().mean(-1)

    config = losses.serialize(absolute)
    assert losses.deserialize(config, custom_objects={"absolute": absolute}) is absolute
    wrapped = losses.serialize(losses.LossFunctionWrapper(absolute))
    assert losses.deserialize(wrapped, custom_objects={"absolute": absolute}).fn is absolute
    with pytest.raises(UnknownNameError, match="absolute"):
        losses.deserialize(config)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: losses.MeanSquaredError(reduction="average"), "`reduction` must be one of .*'average'"),
        (lambda: losses.CategoricalGeneralizedCrossEntropy(q=1.0), "between 0 and 1; got 1.0"),
        (
            lambda: losses.CategoricalCrossentropy(axis=True)([[1.0, 0.0]], [[0.5, 0.5]]),
            "`axis` must be a whole",
        ),
    ],
)
def test_bad_arguments(make, message):
    with pytest.raises(ArgumentError, match=message):
        make()
