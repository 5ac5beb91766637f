"""Names, configs both ways, and what `compile` makes of what it is given."""

import copy
import inspect
import json
import pickle

import numpy as np
import pytest
import torch
from metric_cases import CASES, IDS

from lamella import losses, metrics
from lamella.engine.registry import register_keras_serializable

keras = pytest.importorskip("keras")
from keras.src.metrics import ALL_OBJECTS_DICT  # noqa: E402
from keras.src.trainers.compile_utils import get_metric  # noqa: E402

by_case = pytest.mark.parametrize(("name", "arguments", "make"), CASES, ids=IDS)
PUBLIC = sorted(name for name in dir(keras.metrics) if not name.startswith("_"))


def config_of(metric):
    """The config as a file would have it."""
    return json.loads(json.dumps(metric))


@by_case
def test_config_goes_both_ways(name, arguments, make, rng):
    ours, theirs = getattr(metrics, name)(**arguments), getattr(keras.metrics, name)(**arguments)
    y, p = make(rng)
    expected = np.asarray(ours(y, p))
    for config in (metrics.serialize(ours), keras.metrics.serialize(theirs)):
        again = metrics.deserialize(config_of(config))
        assert type(again) is type(ours)
        assert again.name == config["config"]["name"]
        np.testing.assert_allclose(np.asarray(again(y, p)), expected, rtol=1e-6)
    to_keras = keras.metrics.deserialize(config_of(metrics.serialize(ours)))
    result = keras.ops.convert_to_numpy(to_keras(y, p))
    np.testing.assert_allclose(result, expected, rtol=2e-5, atol=1e-6)


@by_case
def test_config_has_what_keras_s_has(name, arguments, make):
    ours = getattr(metrics, name)(**arguments, name="n").get_config()
    theirs = getattr(keras.metrics, name)(**arguments, name="n").get_config()
    assert set(theirs) <= set(ours)
    weights = "label_weights"  # a tensor in Keras
    assert {k: v for k, v in theirs.items() if k != weights} == {k: ours[k] for k in theirs if k != weights}


@pytest.mark.parametrize("name", PUBLIC)
def test_every_public_name_of_keras_is_here(name):
    assert name in metrics.__all__
    theirs, ours = getattr(keras.metrics, name), getattr(metrics, name)
    assert inspect.isclass(theirs) == inspect.isclass(ours)
    if inspect.isclass(theirs):
        theirs, ours = theirs.__init__, ours.__init__
    want, have = inspect.signature(theirs).parameters, inspect.signature(ours).parameters
    if name not in ("Metric", "deserialize", "serialize", "get"):
        assert list(want) == list(have)
    for key, parameter in want.items():
        assert parameter.default == have[key].default, key


@pytest.mark.parametrize("name", sorted(ALL_OBJECTS_DICT))
def test_every_string_of_keras_means_the_same_class(name):
    assert metrics.registry[name].__name__ == ALL_OBJECTS_DICT[name].__name__


def test_get():
    metric = metrics.Mean()
    assert metrics.get(None) is None
    assert metrics.get(metric) is metric
    assert isinstance(metrics.get(metrics.Precision), metrics.Precision)
    assert metrics.get({"class_name": "CategoricalCrossentropy", "config": {"from_logits": True}}).from_logits
    assert metrics.get(len) is len


def test_default_names_count_up_as_in_keras():
    first, second = metrics.TruePositives(), metrics.TruePositives()
    assert first.name.startswith("true_positives")
    assert first.name != second.name
    assert metrics.MeanMetricWrapper(losses.mean_squared_error).name.startswith("mean_metric_wrapper")
    assert repr(metrics.Mean("m")) == repr(keras.metrics.Mean("m"))


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (losses.mean_absolute_error, keras.losses.mean_absolute_error),
        (losses.huber, keras.losses.huber),
        (metrics.binary_accuracy, keras.metrics.binary_accuracy),
    ],
    ids=lambda function: function.__name__,
)
def test_a_wrapped_built_in_function_goes_both_ways(ours, theirs):
    y, p = torch.tensor([[0.0], [1.0]]), torch.tensor([[0.7], [0.6]])
    expected = float(metrics.MeanMetricWrapper(ours)(y, p))
    again = metrics.deserialize(config_of(metrics.serialize(metrics.MeanMetricWrapper(ours))))
    assert float(again(y, p)) == expected
    from_keras = metrics.deserialize(config_of(keras.metrics.serialize(keras.metrics.MeanMetricWrapper(theirs))))
    assert float(from_keras(y, p)) == expected
    to_keras = keras.metrics.deserialize(config_of(metrics.serialize(metrics.MeanMetricWrapper(ours))))
    assert float(to_keras(y, p)) == pytest.approx(expected, rel=1e-6)
    assert metrics.deserialize(config_of(metrics.serialize(ours))) is ours
    assert metrics.deserialize(config_of(keras.metrics.serialize(theirs))) is ours


@register_keras_serializable(package="tests")
def largest_error(y_true, y_pred, power=1):
    return (y_true - y_pred).abs().amax(-1) ** power


def mine(y_true, y_pred):
    return (y_true - y_pred).abs().mean(-1)


def test_a_wrapped_function_of_your_own():
    y, p = torch.zeros(2, 2), torch.tensor([[1.0, 2.0], [3.0, 0.0]])
    metric = metrics.MeanMetricWrapper(largest_error, name="worst", power=2)
    again = metrics.deserialize(config_of(metrics.serialize(metric)))
    assert again.name == "worst"
    assert float(again(y, p)) == float(metric(y, p)) == 6.5
    config = config_of(metrics.serialize(metrics.MeanMetricWrapper(mine)))
    assert float(metrics.deserialize(config, {"mine": mine})(y, p)) == 1.5
    with pytest.raises(ValueError, match="mine"):
        metrics.deserialize(config)


@register_keras_serializable(package="tests")
class Scaled(metrics.MeanMetricWrapper):
    def __init__(self, scale=1.0, name="scaled", dtype=None):
        super().__init__(lambda y_true, y_pred, scale: scale * (y_true - y_pred).abs(), name, dtype, scale=scale)


def test_a_subclass_of_your_own_goes_through_its_config():
    again = metrics.deserialize(config_of(metrics.serialize(Scaled(3.0))))
    assert type(again) is Scaled
    assert float(again(torch.zeros(2), torch.ones(2))) == 3.0


@by_case
def test_copies_and_pickles_go_their_own_ways(name, arguments, make, rng):
    metric = getattr(metrics, name)(**arguments)
    y, p = make(rng)
    before = metric(y, p)
    torch.testing.assert_close(pickle.loads(pickle.dumps(metric)).result(), before)
    twin = copy.deepcopy(metric)
    twin.update_state(*make(rng))
    torch.testing.assert_close(metric.result(), before)
    twin.reset_state()
    torch.testing.assert_close(twin(y, p), before)


class Shaped:
    def __init__(self, *shape):
        self.shape = shape


SHAPES = [((8, 1), (8, 1)), ((8,), (8, 1)), ((8,), (8, 5)), ((8, 1), (8, 5)), ((8, 5), (8, 5)), ((8, 6), (8, 6, 5))]
SHAPES += [((8, 6, 1), (8, 6, 5)), ((8, 6, 5), (8, 6, 5)), ((8, 6, 1), (8, 6, 1))]


@pytest.mark.parametrize("name", ["accuracy", "acc", "Accuracy", "mse", "BinaryAccuracy", "auc", "false_positives"])
@pytest.mark.parametrize(("target", "output"), SHAPES)
def test_a_name_means_what_it_means_in_keras(name, target, output):
    ours, theirs = metrics.resolve(name, target, output), get_metric(name, Shaped(*target), Shaped(*output))
    assert type(ours).__name__ == type(theirs).__name__
    assert ours.name == theirs.name == name


@pytest.mark.parametrize("name", ["crossentropy", "ce"])
@pytest.mark.parametrize(("target", "output"), SHAPES)
def test_crossentropy_is_chosen_like_accuracy(name, target, output):
    accuracy, entropy = metrics.resolve("accuracy", target, output), metrics.resolve(name, target, output)
    assert type(entropy).__name__ == type(accuracy).__name__.replace("Accuracy", "Crossentropy")
    assert entropy.name == name


def test_a_single_column_without_an_axis_is_binary():
    assert isinstance(metrics.resolve("accuracy", (8,), (8,)), metrics.BinaryAccuracy)


def test_functions_and_losses_are_means():
    def MyError(y_true, y_pred):
        return (y_true - y_pred).abs().mean(-1)

    y, p = torch.zeros(4, 2), torch.ones(4, 2)
    found = metrics.resolve(MyError, (4, 2), (4, 2))
    assert found.name == get_metric(MyError, Shaped(4, 2), Shaped(4, 2)).name == "my_error"
    assert float(found(y, p)) == 1.0
    loss = losses.MeanSquaredError(reduction="sum")
    found = metrics.resolve(loss, (4, 2), (4, 2))
    assert found.name == "mean_squared_error"
    assert float(found(y, 2 * p)) == 4.0
    assert loss.reduction == "sum"
    again = metrics.deserialize(metrics.serialize(found))
    assert float(again(y, 2 * p)) == 4.0
    given = metrics.Precision(name="mine")
    assert metrics.resolve(given, (4, 2), (4, 2)) is given
