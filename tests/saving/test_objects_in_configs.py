"""What configs say of objects, functions and arrays is read as Keras reads it, and written so that it can."""

from __future__ import annotations

import json
from typing import Any

import keras
import numpy as np
import pytest
import torch

import lamella

LIBRARIES = [lamella, keras]
X = np.random.default_rng(0).random((4, 3)).astype("float32")


# -- one object in several places ------------------------------------------------------------------------------


def in_and_outside_of_a_model(k: Any) -> Any:
    layer = k.layers.Dense(3, name="of_both")
    start = k.Input((3,))
    inner = k.Model(start, layer(start), name="inner")
    x = k.Input((3,))
    return k.Model(x, layer(inner(x)))


def in_a_wrapper_too(k: Any) -> Any:
    layer = k.layers.Dense(3, name="of_both")
    x = k.Input((3,))
    wrapped = k.layers.TimeDistributed(layer)(k.layers.Reshape((1, 3))(layer(x)))
    return k.Model(x, k.layers.Flatten()(wrapped))


PAIRS = [(writer, reader, in_a_wrapper_too) for writer in LIBRARIES for reader in LIBRARIES]
PAIRS.append((lamella, lamella, in_and_outside_of_a_model))  # Keras cannot read its own


@pytest.mark.parametrize(("writer", "reader", "make"), PAIRS)
def test_a_layer_in_two_places_stays_one(writer: Any, reader: Any, make: Any, tmp_path: Any) -> None:
    model = make(writer)
    model.save(tmp_path / "m.keras")
    again = reader.models.load_model(tmp_path / "m.keras")
    np.testing.assert_allclose(again.predict(X, verbose=0), model.predict(X, verbose=0), rtol=1e-5)
    assert len(again.trainable_weights) == len(model.trainable_weights) == 2
    again.compile("sgd", "mse")
    again.fit(X, X, verbose=0)
    again.save(tmp_path / "again.keras")
    assert len(writer.models.load_model(tmp_path / "again.keras").trainable_weights) == 2


def test_numbers_are_only_where_there_are_several_places(tmp_path: Any) -> None:
    def two_layers(k: Any) -> Any:
        return k.Sequential([k.Input((3,)), k.layers.Dense(3), k.layers.Dense(3)])

    for make, has in ((in_a_wrapper_too, True), (two_layers, False)):
        make(lamella).save(tmp_path / "m.keras")
        config = lamella.saving.KerasFileEditor(tmp_path / "m.keras").config
        assert ("shared_object_id" in json.dumps(config)) is has


# -- arrays, tensors and the like ------------------------------------------------------------------------------

VALUES = [
    np.array([[0, 1]]),
    np.array([0.5, 1.5], "float32"),
    np.float32(1.5),
    np.array(3),
    torch.tensor([1.0, 2.0], dtype=torch.float64),
    torch.tensor([True, False]),
    slice(None, 20, 2),
    slice(None, np.array([0, 1]), 1),
    b"bytes",
    ...,
    {"a": [np.array([1]), None]},
]


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_values_come_back_as_what_they_were(value: Any) -> None:
    written = [library.saving.serialize_keras_object(value) for library in LIBRARIES]
    assert written[0] == written[1]
    ours, theirs = (
        library.saving.deserialize_keras_object(json.loads(json.dumps(written[0]))) for library in LIBRARIES
    )
    assert type(ours) is type(theirs)
    if isinstance(ours, (np.ndarray, torch.Tensor)):
        assert ours.dtype == theirs.dtype and ours.tolist() == theirs.tolist()
    else:
        assert repr(ours) == repr(theirs)


# -- functions -------------------------------------------------------------------------------------------------


def squared(x: Any) -> Any:
    return x**2


@pytest.mark.parametrize("library", LIBRARIES)
def test_functions_by_all_their_names(library: Any) -> None:
    registered = library.saving.register_keras_serializable(f"pack_{library.__name__}", "cubed")(lambda x: x**3)

    def read(name: str, said: str | None = "function", custom: Any = None) -> Any:
        config = {"module": "builtins", "class_name": "function", "config": name, "registered_name": said}
        return library.saving.deserialize_keras_object(config, custom)

    assert read("relu") is library.activations.relu
    assert read("kl_divergence") is library.losses.kl_divergence
    assert read(f"pack_{library.__name__}>cubed") is registered
    assert read("cubed") is registered  # Keras up to 3.6
    assert read("squared", custom={"squared": squared}) is squared


def test_a_function_is_written_as_keras_writes_it() -> None:
    ours, theirs = (library.saving.serialize_keras_object(squared) for library in LIBRARIES)
    assert ours == theirs


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("name", ["m.keras", "m.h5"])
@pytest.mark.parametrize("reader", LIBRARIES)
@pytest.mark.parametrize("writer", LIBRARIES)
def test_functions_of_a_script_are_given_as_custom_objects(writer: Any, reader: Any, name: str, tmp_path: Any) -> None:
    def loss_of_mine(y: Any, y_pred: Any) -> Any:
        return 2 * (y - y_pred) ** 2

    model = writer.Sequential([writer.Input((3,)), writer.layers.Dense(3, activation=squared)])
    model.compile("sgd", loss_of_mine, metrics=[loss_of_mine])
    model.save(tmp_path / name)
    given = {"squared": squared, "loss_of_mine": loss_of_mine}
    again = reader.models.load_model(tmp_path / name, custom_objects=given)
    np.testing.assert_allclose(again.evaluate(X, X, verbose=0), model.evaluate(X, X, verbose=0), rtol=1e-5)


# -- classes ---------------------------------------------------------------------------------------------------


def holders(k: Any) -> tuple[type, type]:
    class Act:
        def __call__(self, x: Any) -> Any:
            return x**2

        def get_config(self) -> dict[str, Any]:
            return {}

        @classmethod
        def from_config(cls, config: dict[str, Any]) -> Any:
            return cls()

    class Holder(k.layers.Layer):
        def __init__(self, act: Any, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.act = k.saving.deserialize_keras_object(act) if isinstance(act, dict) else act

        def call(self, x: Any) -> Any:
            return self.act(x)

        def get_config(self) -> dict[str, Any]:
            return {**super().get_config(), "act": self.act}

    return Act, Holder


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_class_that_reads_a_config_itself_knows_the_custom_objects(library: Any, tmp_path: Any) -> None:
    act_class, holder = holders(library)
    act, x = act_class(), library.Input((3,))
    library.Model(x, holder(act)(holder(act)(x))).save(tmp_path / "m.keras")
    given = {"Act": act_class, "Holder": holder}
    again = library.models.load_model(tmp_path / "m.keras", custom_objects=given)
    assert again.layers[1].act is again.layers[2].act
    np.testing.assert_allclose(again.predict(X, verbose=0), X**4, rtol=1e-5)


CONFIGS = {
    "a class of a script, named as one of Keras's": {
        "module": None,
        "class_name": "Attention",
        "config": {"name": "a"},
        "registered_name": "Attention",
    },
    "arguments in a list": {"module": "keras.layers", "class_name": "Dense", "config": [1, 2, 3]},
    "a function without a name": {"class_name": "function", "config": ["no", "name"]},
    "nobody knows it": {"module": "mine", "class_name": "Nobody", "config": {}, "registered_name": "Nobody"},
}


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
@pytest.mark.parametrize("library", LIBRARIES)
def test_configs_that_describe_nothing(library: Any, config: Any) -> None:
    with pytest.raises(TypeError):
        library.saving.deserialize_keras_object(config)


def test_the_errors_are_ours_too() -> None:
    with pytest.raises(lamella.errors.UnknownNameError, match=r"'Nobody'.*custom_objects"):
        lamella.saving.deserialize_keras_object(CONFIGS["nobody knows it"])
    with pytest.raises(lamella.errors.ConfigError, match=r"'Dense'.*\[1, 2, 3\]"):
        lamella.saving.deserialize_keras_object(CONFIGS["arguments in a list"])
