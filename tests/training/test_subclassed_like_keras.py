"""Subclassed models: what they have before they are built, what a file keeps of their build, what their losses see."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

import lamella

LIBRARIES = [lamella, keras]
X = np.random.default_rng(0).random((6, 3)).astype("float32")


@pytest.mark.parametrize("name", ["input_shape", "output_shape"])
@pytest.mark.parametrize("library", LIBRARIES)
def test_before_it_is_built_a_model_has_no_ends(library: Any, name: str) -> None:
    model = library.Sequential([library.layers.Dense(2)])
    assert not hasattr(model, name)
    model.build((None, 3))
    assert getattr(model, name) == (None, 3 if name == "input_shape" else 2)


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_layer_that_was_never_called_has_no_output(library: Any) -> None:
    assert not hasattr(library.layers.Dense(2), "output")


def test_the_error_still_says_why() -> None:
    for kind in (AttributeError, lamella.errors.NotBuiltError):
        with pytest.raises(kind, match=r"no symbolic inputs.*Add an Input"):
            lamella.Sequential([lamella.layers.Dense(2)]).input_shape  # noqa: B018
    with pytest.raises(AttributeError, match="'Dense' object has no attribute 'kernal'"):
        lamella.layers.Dense(2).kernal  # noqa: B018


def test_a_property_of_the_users_that_fails_says_where() -> None:
    class Mine(lamella.layers.Layer):
        @property
        def width(self) -> int:
            return int(self.misspelt)

    with pytest.raises(AttributeError, match="misspelt"):
        Mine().width  # noqa: B018


@lamella.saving.register_keras_serializable("tests_of_builds")
class Built(lamella.Model):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.dense = lamella.layers.Dense(2)

    def call(self, x: Any) -> Any:
        return self.dense(x)


@pytest.mark.parametrize("shape", [(None, 3), [None, 3]])
def test_a_model_that_was_built_by_hand_is_whole_in_a_file(shape: Any, tmp_path: Any) -> None:
    model = Built()
    model.build(input_shape=shape)
    model.save(tmp_path / "m.keras")
    again = lamella.models.load_model(tmp_path / "m.keras")
    np.testing.assert_array_equal(again.predict(X, verbose=0), model.predict(X, verbose=0))


def test_compute_loss_of_ones_own_sees_what_layers_add() -> None:
    def losses(k: Any) -> list[Any]:
        class Watching(k.Model):
            def __init__(self) -> None:
                super().__init__()
                self.added = k.metrics.Mean(name="added")
                self.dense = k.layers.Dense(2, activity_regularizer="l2", kernel_initializer="ones")

            def call(self, x: Any) -> Any:
                return self.dense(x)

            def compute_loss(self, x: Any, y: Any, y_pred: Any, sample_weight: Any, training: bool = True) -> Any:
                loss = super().compute_loss(x, y, y_pred, sample_weight, training)
                self.added.update_state(sum(self.losses))
                return loss

        model = Watching()
        model.compile("sgd", "mse")
        history = model.fit(X, X[:, :2], epochs=3, batch_size=2, shuffle=False, verbose=0).history
        return [*history["added"], *history["loss"], *model.evaluate(X, X[:, :2], verbose=0)]

    ours, theirs = losses(lamella), losses(keras)
    assert min(ours) > 0
    np.testing.assert_allclose(ours, theirs, rtol=1e-5)


def shapes_in_summary(k: Any, named: bool) -> list[str]:
    class Heads(k.layers.Layer):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.two = k.layers.Dense(4), k.layers.Dense(5)

        def call(self, x: Any) -> Any:
            return {"one": self.one(x), "two": self.two(x)}

    class Shown(k.Model):
        def __init__(self) -> None:
            super().__init__()
            self.first = k.layers.Dense(7)
            self.attention = k.layers.MultiHeadAttention(2, 3)
            self.last = Heads() if named else k.layers.Dense(2)
            self.unused = k.layers.Dense(9)

        def call(self, x: Any) -> Any:
            x = self.first(x)
            return self.last(self.attention(x, x))

    model = Shown()
    model(np.ones((4, 6, 3), "float32"))
    lines: list[str] = []
    model.summary(print_fn=lambda text, *_, **__: lines.append(text))
    cells = [line.split("│")[2].strip() for text in lines for line in text.splitlines() if line.startswith("│")]
    return [cell for cell in cells if cell]


@pytest.mark.filterwarnings("ignore::UserWarning:keras")
def test_a_summary_has_the_shapes_of_layers_that_were_called() -> None:
    assert (
        shapes_in_summary(lamella, False)
        == shapes_in_summary(keras, False)
        == ["(4, 6, 7)", "(4, 6, 7)", "(4, 6, 2)", "?"]
    )
    assert shapes_in_summary(lamella, True)[2] == "(4, 6, 4), (4, 6, 5)"
