"""Where files have the weights of classes that users wrote."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

import lamella

LIBRARIES = [lamella, keras]
X = np.random.default_rng(0).random((4, 3)).astype("float32")


def plain(k: Any, name: str) -> Any:
    class Plain(k.Model):
        def __init__(self) -> None:
            super().__init__()
            setattr(self, name, k.Sequential([k.layers.Dense(3), k.layers.Dense(2)]))

        def call(self, x: Any) -> Any:
            return getattr(self, name)(x)

    return Plain()


def renamed(k: Any, own: str) -> Any:
    """A class whose layer is `own`, and `dense` by a property."""

    class Renamed(k.Model):
        def __init__(self) -> None:
            super().__init__()
            setattr(self, own, k.Sequential([k.layers.Dense(3), k.layers.Dense(2)]))

        @property
        def dense(self) -> Any:
            return getattr(self, own)

        @property
        def broken(self) -> Any:
            raise ValueError("not yet")

        def call(self, x: Any) -> Any:
            return self.dense(x)

    return Renamed()


@pytest.mark.filterwarnings("ignore:.*__array__.*:DeprecationWarning")
@pytest.mark.parametrize("own", ["a_dense", "new_dense"])
@pytest.mark.parametrize("reader", LIBRARIES)
@pytest.mark.parametrize("writer", LIBRARIES)
def test_a_layer_that_got_a_new_name_and_kept_the_old_as_a_property(
    writer: Any, reader: Any, own: str, tmp_path: Any
) -> None:
    old, new = plain(writer, "dense"), renamed(reader, own)
    old(X), new(X)
    old.save_weights(tmp_path / "old.weights.h5")
    new.load_weights(tmp_path / "old.weights.h5")
    expected = old.predict(X, verbose=0)
    np.testing.assert_allclose(new.predict(X, verbose=0), expected, rtol=1e-5)
    new.save_weights(tmp_path / "new.weights.h5")  # Keras takes the name that comes first in the alphabet
    again = renamed(writer, own)
    again(X)
    again.load_weights(tmp_path / "new.weights.h5")
    np.testing.assert_allclose(again.predict(X, verbose=0), expected, rtol=1e-5)


def test_another_name_without_a_property_is_refused(tmp_path: Any) -> None:
    old, new = plain(lamella, "dense"), plain(lamella, "other")
    old(X), new(X)
    old.save_weights(tmp_path / "old.weights.h5")
    with pytest.raises(lamella.errors.FileError, match="other"):
        new.load_weights(tmp_path / "old.weights.h5")


@pytest.mark.parametrize("ending", ["m.weights.h5", "m.keras"])
@pytest.mark.parametrize("library", LIBRARIES)
def test_by_name_is_for_older_files(library: Any, ending: str, tmp_path: Any) -> None:
    model = library.Sequential([library.Input((3,)), library.layers.Dense(2)])
    (model.save if ending == "m.keras" else model.save_weights)(tmp_path / ending)
    with pytest.raises(ValueError, match="by_name"):
        model.load_weights(tmp_path / ending, by_name=True)


@pytest.mark.parametrize("name", ["none.keras", "none.h5", "none"])
@pytest.mark.parametrize("library", LIBRARIES)
def test_a_model_file_that_is_missing(library: Any, name: str, tmp_path: Any) -> None:
    with pytest.raises((ValueError, FileNotFoundError)):
        library.models.load_model(tmp_path / name)


def test_a_missing_file_is_an_error_of_either_kind(tmp_path: Any) -> None:
    for kind in (ValueError, FileNotFoundError, lamella.errors.FileError):
        with pytest.raises(kind, match=r"no file .*none\.keras"):
            lamella.models.load_model(tmp_path / "none.keras")
