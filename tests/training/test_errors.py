"""What bad input gets: its own message, before training, and nothing half-changed."""

import numpy as np
import pytest
import torch

import lamella
from lamella import errors, layers

X = np.random.default_rng(0).normal(size=(40, 4)).astype("float32")
LABELS = np.arange(40) % 3


def model(units=3, loss="sparse_categorical_crossentropy", activation="softmax", **arguments):
    net = lamella.Sequential(
        [lamella.Input((4,)), layers.Dense(8, "relu", name="hidden"), layers.Dense(units, activation)]
    )
    net.compile("adam", loss, **arguments)
    return net


def with_value(x, value, place):
    x = x.copy()
    x[place] = value
    return x


class NoSuper(lamella.Model):
    def __init__(self):
        self.dense = layers.Dense(1)

    def call(self, x):
        return self.dense(x)


def both_ways(layer):
    layer([np.ones((2, 3, 4)), np.ones((2, 4))])
    layer([np.ones((2, 3, 4)), np.ones((2, 5))])


class NoReturn(layers.Layer):
    def call(self, x):
        x * 2


CASES = {
    "wrong shape": (
        lambda: model().fit(X[:, :3], LABELS),
        errors.ShapeError,
        r"must have shape \(None, 4\), but the data have shape \(None, 3\)",
    ),
    "super().__init__() forgotten, called": (lambda: NoSuper()(X), errors.ArgumentError, r"NoSuper.*super\(\)"),
    "super().__init__() forgotten, compiled": (
        lambda: NoSuper().compile("adam", "mse"),
        errors.ArgumentError,
        r"NoSuper.__init__ does not call super\(\).__init__\(\)",
    ),
    "a call without return": (
        lambda: lamella.Sequential([lamella.Input((4,)), NoReturn(), layers.Dense(1)]),
        errors.ArgumentError,
        r"NoReturn 'no_return.*': call\(\) gave None.*`return`",
    ),
    "a loss without return": (
        lambda: model(loss=lambda y_true, y_pred: None).fit(X, LABELS),
        errors.ArgumentError,
        "gave None.*`return`",
    ),
    "NumPy on what has no values": (
        lambda: np.sum(lamella.Input((4,), name="x")),
        TypeError,
        "Symbolic tensor 'x'.*numpy.sum.*lamella.ops",
    ),
    "sizes that cannot be added": (
        lambda: layers.Add(name="both")([lamella.Input((3,)), lamella.Input((4,))]),
        errors.ShapeError,
        r"Add 'both'.*\[\(None, 3\), \(None, 4\)\].*axis 1",
    ),
    "sizes that cannot be multiplied, found late": (
        lambda: both_ways(layers.Multiply(name="both")),
        errors.ShapeError,
        r"Multiply 'both'.*\[\(2, 3, 4\), \(2, 5\)\].*axis 2",
    ),
    "wrong rank": (
        lambda: model().fit(X[:, None, :], LABELS),
        errors.ShapeError,
        r"the data have shape \(None, 1, 4\)",
    ),
    "labels too large": (
        lambda: model().fit(X, LABELS + 1),
        errors.DataError,
        "labels must be whole numbers from 0 to 2.*found 1 to 3.*start at 1: subtract 1",
    ),
    "negative labels": (lambda: model().fit(X, LABELS - 1), errors.DataError, r"found -1 to 1.*ignore_class=-1"),
    "more classes than units": (lambda: model(2).fit(X, LABELS), errors.DataError, "Give the last layer 3 units"),
    "y shorter": (lambda: model().fit(X, LABELS[:30]), errors.DataError, "x has 40 samples, y has 30 samples"),
    "NaN": (
        lambda: model().fit(with_value(X, np.nan, (17, 2)), LABELS),
        errors.DataError,
        r"x has 1 values that are NaN or infinite, the first \(NaN\) at sample 17, feature 2",
    ),
    "infinity": (
        lambda: model().fit(with_value(X, np.inf, (3, 0)), LABELS),
        errors.DataError,
        r"\(infinite\) at sample 3",
    ),
    "NaN in y": (
        lambda: model(1, "mse", None).fit(X, with_value(X[:, :1], np.nan, (5, 0))),
        errors.DataError,
        "NaN or infinite.*sample 5",
    ),
    "one-hot for sparse": (
        lambda: model().fit(X, np.eye(3)[LABELS]),
        errors.ShapeError,
        "use loss='categorical_crossentropy'|use categorical_crossentropy",
    ),
    "class numbers for one-hot": (
        lambda: model(3, "categorical_crossentropy").fit(X, LABELS),
        errors.ShapeError,
        "sparse_categorical_crossentropy",
    ),
    "y of another width": (lambda: model(1, "mse", None).fit(X, X), errors.ShapeError, r"\(40, 4\)"),
    "unknown optimizer": (
        lambda: lamella.Sequential([layers.Dense(1)]).compile("adm", "mse"),
        errors.UnknownNameError,
        "Unknown optimizer 'adm'. Did you mean 'adam'",
    ),
    "unknown loss": (
        lambda: lamella.Sequential([layers.Dense(1)]).compile("adam", "mean_square_error"),
        errors.UnknownNameError,
        "Did you mean 'mean_squared_error'",
    ),
    "unknown metric": (
        lambda: lamella.Sequential([layers.Dense(1)]).compile("adam", "mse", metrics=["acuracy_"]),
        errors.UnknownNameError,
        "Unknown metric 'acuracy_'",
    ),
    "metrics in the third place": (
        lambda: lamella.Sequential([layers.Dense(1)]).compile("adam", "mse", ["mae"]),
        errors.ArgumentError,
        r"`loss_weights` must hold numbers; found 'mae'.*write metrics=\[...\]",
    ),
    "a metric in the third place": (
        lambda: lamella.Sequential([layers.Dense(1)]).compile("adam", "mse", [lamella.metrics.R2Score()]),
        errors.ArgumentError,
        "`metrics` is the fourth",
    ),
    "unknown activation": (lambda: layers.Dense(1, "sigmoidal"), errors.UnknownNameError, "Did you mean 'sigmoid'"),
    "fit before compile": (
        lambda: lamella.Sequential([layers.Dense(1)]).fit(X, LABELS),
        errors.NotCompiledError,
        r"fit\(\) needs to know the optimizer.*call compile\(\) first",
    ),
    "evaluate before compile": (
        lambda: lamella.Sequential([layers.Dense(1)]).evaluate(X, LABELS),
        errors.NotCompiledError,
        "call compile",
    ),
    "unbuilt": (
        lambda: lamella.Sequential([layers.Dense(1)]).count_params(),
        errors.NotBuiltError,
        "has no weights yet",
    ),
    "unbuilt input": (
        lambda: lamella.Sequential([layers.Dense(1)]).output,
        errors.NotBuiltError,
        r"Add an Input\(shape",
    ),
    "no targets": (lambda: model().fit(X), errors.DataError, "There are no targets"),
    "empty": (lambda: model().fit(X[:0], LABELS[:0]), errors.DataError, "The data are empty"),
    "strings": (lambda: model().fit(np.full((40, 4), "a"), LABELS), errors.DataError, "must hold numbers"),
    "objects": (lambda: model().fit(np.array([["a", 1]] * 40, object), LABELS), errors.DataError, "not numbers"),
    "batch size": (lambda: model().fit(X, LABELS, batch_size=0), errors.ArgumentError, "`batch_size` must be"),
    "epochs": (lambda: model().fit(X, LABELS, epochs=-1), errors.ArgumentError, "`epochs` must be"),
    "split": (lambda: model().fit(X, LABELS, validation_split=1.5), errors.ArgumentError, "must lie between 0 and 1"),
    "y with a stream": (lambda: model().fit(iter([(X, LABELS)]), LABELS), errors.ArgumentError, "`y` goes with arrays"),
    "nothing to train on": (lambda: model().fit(object(), None), errors.DataError, "Cannot train on a object"),
    "output name": (
        lambda: model(1, {"densee_1": "mse"}, None).fit(X, LABELS),
        errors.ArgumentError,
        "`loss` has the key 'densee_1'",
    ),
    "disconnected": (
        lambda: lamella.Model(lamella.Input((3,), name="a"), layers.Dense(1)(lamella.Input((3,), name="b"))),
        errors.ArgumentError,
        "Graph disconnected: 'b'",
    ),
    "same name twice": (
        lambda: lamella.Sequential([lamella.Input((3,)), layers.Dense(1, name="d"), layers.Dense(1, name="d")]),
        errors.ArgumentError,
        "already has a layer named 'd'",
    ),
    "no such layer": (lambda: model().get_layer("hiden"), errors.ArgumentError, "Nearest: \\['hidden'"),
    "truth of a symbolic tensor": (lambda: 1 if lamella.Input((1,)) > 0 else 2, TypeError, "has no values yet"),
}


@pytest.mark.parametrize("case", CASES)
def test_message(case):
    act, kind, message = CASES[case]
    with pytest.raises(kind, match=f"(?s){message}") as caught:
        act()
    assert isinstance(caught.value, (ValueError, TypeError))


@pytest.mark.parametrize(
    "loss", [lambda y, p: 3.0, lambda y, p: (p.argmax(-1) != y).float().mean(), lambda y, p: p.detach().sum()]
)
def test_a_loss_without_a_gradient(loss):
    with pytest.raises(errors.ArgumentError, match="The loss has no gradient"):
        model(loss=loss).fit(X, LABELS, verbose=0)


def test_nothing_is_half_changed():
    net = model()
    before, steps = net.get_weights(), int(net.optimizer.iterations)
    for bad in (LABELS + 1, LABELS[:9]):
        with pytest.raises(ValueError):
            net.fit(X, bad, verbose=0)
    assert all(np.array_equal(a, b) for a, b in zip(before, net.get_weights(), strict=True))
    assert int(net.optimizer.iterations) == steps
    net.fit(X, LABELS, verbose=0)


def test_a_loss_that_explodes_names_the_layer_and_keeps_the_weights():
    class Explode(layers.Layer):
        calls = 0

        def call(self, x, training=None):
            if training:
                Explode.calls += 1
            return x / 0 if Explode.calls > 2 else x

    net = lamella.Sequential([lamella.Input((4,)), layers.Dense(3), Explode(name="culprit"), layers.Dense(1)])
    net.compile("sgd", "mse")
    with pytest.raises(
        errors.NonFiniteError, match=r"(?s)became (nan|inf) at step 3.*'culprit'.*learning rate"
    ) as caught:
        net.fit(X, X[:, :1], batch_size=8, verbose=0)
    assert isinstance(caught.value, ValueError)
    assert all(np.isfinite(w).all() for w in net.get_weights())


def test_diverging_is_said_too():
    net = model(1, "mse", None)
    net.compile(lamella.optimizers.SGD(1e12), "mse")
    with pytest.raises(errors.NonFiniteError, match="learning rate"):
        net.fit(X, X[:, :1], epochs=20, verbose=0)


def test_terminate_on_nan_stops_quietly():
    net = model(1, "mse", None)
    net.compile(lamella.optimizers.SGD(1e12), "mse")
    history = net.fit(X, X[:, :1], epochs=20, verbose=0, callbacks=[lamella.callbacks.TerminateOnNaN()])
    assert len(history.epoch) < 20


def test_an_error_inside_a_custom_layer_names_it():
    class Wrong(layers.Layer):
        def call(self, x):
            return x @ torch.ones(99, 1)

    with pytest.raises(RuntimeError) as caught:
        lamella.Sequential([Wrong(name="mine")])(torch.ones(2, 3))
    assert any("In layer 'mine' (Wrong)" in note for note in caught.value.__notes__)


def test_numpy_may_ask_a_symbolic_tensor_for_its_shape():
    x = lamella.Input((4,))
    assert np.shape(x) == (None, 4) and np.ndim(x) == 2


def logits_missing(activation, loss):
    net = model(3, loss, activation)
    net.layers[-1].kernel.assign(-np.ones((8, 3)) if activation == "relu" else np.full((8, 3), np.float32(3e38)))
    with pytest.raises(errors.NonFiniteError) as raised:
        net.fit(np.abs(X) + 1, LABELS, verbose=0)
    return str(raised.value)


def test_a_crossentropy_of_what_are_no_probabilities_says_so():
    found = logits_missing("relu", "sparse_categorical_crossentropy")
    assert "takes probabilities, but the last layer" in found and "ends in 'relu'" in found
    loss = lamella.losses.SparseCategoricalCrossentropy(from_logits=True)
    assert "takes probabilities" not in logits_missing(None, loss)
