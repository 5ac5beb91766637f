"""`fit`, `evaluate` and `predict` give the numbers that real Keras gives, from the same weights and data."""

import warnings

import numpy as np
import pytest
import torch

import lamella

keras = pytest.importorskip("keras")

X = np.random.default_rng(1).normal(size=(70, 6)).astype("float32")
CLASSES = np.random.default_rng(2).integers(0, 3, 70)
NUMBERS = np.random.default_rng(3).normal(size=(70, 1)).astype("float32")


def classifier(k, **dense):
    return k.Sequential(
        [k.Input((6,)), k.layers.Dense(8, activation="tanh", **dense), k.layers.Dense(3, activation="softmax")]
    )


def twins(build):
    ours, theirs = build(lamella), build(keras)
    theirs.set_weights(ours.get_weights())
    return ours, theirs


def same_history(ours, theirs, tolerance=1e-4):
    ours, theirs = ours.history, theirs.history
    assert set(ours) == set(theirs)
    for name, values in theirs.items():
        np.testing.assert_allclose(ours[name], values, rtol=tolerance, atol=1e-5, err_msg=name)


def fit_both(build, compile_arguments, fit_arguments, y=CLASSES):
    ours, theirs = twins(build)
    ours.compile(**compile_arguments(lamella))
    theirs.compile(**compile_arguments(keras))
    arguments = {"epochs": 3, "batch_size": 16, "shuffle": False, "verbose": 0, **fit_arguments}
    same_history(ours.fit(X, y, **arguments), theirs.fit(X, y, **arguments))
    for a, b in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(ours.predict(X, verbose=0), theirs.predict(X, verbose=0), rtol=1e-3, atol=1e-5)
    return ours, theirs


@pytest.mark.parametrize(
    "fit_arguments",
    [
        {},
        {"validation_split": 0.3},
        {"validation_data": (X[:9], CLASSES[:9])},
        {"class_weight": {0: 1.0, 1: 2.0, 2: 0.5}},
        {"sample_weight": np.linspace(0, 2, 70)},
        {"steps_per_epoch": 3, "epochs": 1},
        {"initial_epoch": 1},
        {"validation_split": 0.2, "validation_freq": 2},
    ],
    ids=lambda a: "-".join(a) or "plain",
)
def test_fit_arguments(fit_arguments):
    fit_both(
        classifier,
        lambda k: {
            "optimizer": "adam",
            "loss": "sparse_categorical_crossentropy",
            "metrics": ["accuracy"],
            "weighted_metrics": ["sparse_categorical_accuracy"],
        },
        fit_arguments,
    )


def test_evaluate_agrees():
    ours, theirs = fit_both(
        classifier,
        lambda k: {"optimizer": "sgd", "loss": "sparse_categorical_crossentropy", "metrics": ["acc"]},
        {},
    )
    np.testing.assert_allclose(ours.evaluate(X, CLASSES, verbose=0), theirs.evaluate(X, CLASSES, verbose=0), rtol=1e-4)
    mine = ours.evaluate(X, CLASSES, verbose=0, return_dict=True)
    assert set(mine) == set(theirs.evaluate(X, CLASSES, verbose=0, return_dict=True))
    batch = (X[:8], CLASSES[:8])
    np.testing.assert_allclose(ours.test_on_batch(*batch), theirs.test_on_batch(*batch), rtol=1e-4)
    np.testing.assert_allclose(ours.train_on_batch(*batch)[0], theirs.train_on_batch(*batch)[0], rtol=1e-4)
    np.testing.assert_allclose(ours.predict_on_batch(X[:8]), theirs.predict_on_batch(X[:8]), rtol=1e-3, atol=1e-5)


def test_regularizers_and_constraints():
    def build(k):
        return classifier(
            k,
            kernel_regularizer=k.regularizers.L1L2(0.01, 0.02),
            activity_regularizer="l2",
            kernel_constraint=k.constraints.MaxNorm(0.7),
        )

    fit_both(build, lambda k: {"optimizer": k.optimizers.SGD(0.1), "loss": "sparse_categorical_crossentropy"}, {})


def test_batch_normalization_and_regression():
    def build(k):
        return k.Sequential(
            [k.Input((6,)), k.layers.Dense(5, use_bias=False), k.layers.BatchNormalization(), k.layers.Dense(1)]
        )

    fit_both(
        build,
        lambda k: {
            "optimizer": k.optimizers.RMSprop(0.01),
            "loss": "mse",
            "metrics": ["mae", "root_mean_squared_error"],
        },
        {"validation_split": 0.2},
        NUMBERS,
    )


def test_convolutional_network():
    pictures = np.random.default_rng(5).normal(size=(20, 12, 12, 1)).astype("float32")
    labels = np.arange(20) % 3

    def build(k):
        return k.Sequential(
            [
                k.Input((12, 12, 1)),
                k.layers.Conv2D(4, 3, activation="relu"),
                k.layers.MaxPooling2D(),
                k.layers.Conv2D(6, 3, activation="relu", padding="same"),
                k.layers.MaxPooling2D(2),
                k.layers.Flatten(),
                k.layers.Dense(3),
            ]
        )

    ours, theirs = twins(build)
    for model, k in ((ours, lamella), (theirs, keras)):
        model.compile("adam", k.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
    arguments = {"epochs": 4, "batch_size": 8, "shuffle": False, "verbose": 0}
    same_history(ours.fit(pictures, labels, **arguments), theirs.fit(pictures, labels, **arguments))


def several(k):
    a, b = k.Input((6,), name="a"), k.Input((2,), name="b")
    shared = k.layers.Dense(4, activation="relu", name="shared")
    both = k.layers.Concatenate()([shared(a), shared(k.layers.Dense(6)(b))])
    inner = k.Sequential([k.Input((8,)), k.layers.Dense(5, activation="tanh")])
    h = inner(both)
    classes = k.layers.Dense(3, activation="softmax", name="classes")(h)
    number = k.layers.Dense(1, name="number")(h + h * 0.5)
    return k.Model([a, b], [classes, number])


@pytest.mark.parametrize("by_name", [False, True])
def test_several_inputs_and_outputs(by_name):
    second = np.random.default_rng(4).normal(size=(70, 2)).astype("float32")
    ours, theirs = twins(several)
    losses = {"classes": "sparse_categorical_crossentropy", "number": "mse"}
    weights, metrics = {"classes": 0.3, "number": 2.0}, {"classes": ["accuracy"], "number": ["mae"]}
    if not by_name:
        losses, weights, metrics = list(losses.values()), list(weights.values()), list(metrics.values())
    for model in (ours, theirs):
        model.compile("adam", losses, loss_weights=weights, metrics=metrics)
    x = {"a": X, "b": second} if by_name else [X, second]
    y = {"classes": CLASSES, "number": NUMBERS} if by_name else [CLASSES, NUMBERS]
    arguments = {"epochs": 3, "batch_size": 16, "shuffle": False, "verbose": 0}
    same_history(ours.fit(x, y, **arguments), theirs.fit(x, y, **arguments))
    for a, b in zip(ours.predict(x, verbose=0), theirs.predict(x, verbose=0), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5)
    assert ours.count_params() == theirs.count_params()
    assert [type(layer).__name__ for layer in ours.layers if layer.weights] == [
        type(layer).__name__ for layer in theirs.layers if layer.weights
    ]


def test_schedule_and_clipping():
    def compile_arguments(k):
        schedule = k.optimizers.schedules.ExponentialDecay(0.05, 5, 0.5)
        return {"optimizer": k.optimizers.Adam(schedule, clipnorm=0.1), "loss": "sparse_categorical_crossentropy"}

    fit_both(classifier, compile_arguments, {})


def test_a_train_step_of_ones_own(rng):
    def subclass(k):
        class Doubled(k.Model):
            def __init__(self):
                super().__init__()
                self.dense = k.layers.Dense(1)

            def call(self, x):
                return self.dense(x)

            def train_step(self, data):
                x, y = data
                self.zero_grad()
                loss = 2 * self.compute_loss(y=y, y_pred=self(x, training=True))
                loss.backward()
                weights = list(self.trainable_weights)
                with torch.no_grad():
                    self.optimizer.apply([w.value.grad for w in weights], weights)
                return {"loss": loss.detach()}

        model = Doubled()
        model(torch.ones(1, 6))
        return model

    ours, theirs = twins(subclass)
    for model, k in ((ours, lamella), (theirs, keras)):
        model.compile(k.optimizers.SGD(0.01), "mse")
        history = model.fit(X, NUMBERS, epochs=3, batch_size=16, shuffle=False, verbose=0).history
        assert len(history["loss"]) == 3
    for a, b in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("where", ["call", "weights", "outputs"])
def test_a_loss_of_the_layers_alone(where):
    """Of a model that is compiled without one: in validation, too."""

    def build(k):
        class Own(k.Model):
            def __init__(self):
                super().__init__()
                weights, outputs = ("l2" if where == kind else None for kind in ("weights", "outputs"))
                self.dense = k.layers.Dense(
                    1, kernel_initializer="ones", kernel_regularizer=weights, activity_regularizer=outputs
                )

            def call(self, x):
                h = self.dense(x)
                if where == "call":
                    self.add_loss(k.ops.mean(k.ops.square(h)))
                return h

        return Own()

    found = []
    for k in (lamella, keras):
        model = build(k)
        model.compile(k.optimizers.SGD(0.01), metrics=["mae"])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the bias has no gradient
            history = model.fit(
                X, NUMBERS, validation_data=(X[:9], NUMBERS[:9]), batch_size=16, shuffle=False, verbose=0
            )
        found.append([*(v[0] for v in history.history.values()), *model.evaluate(X, NUMBERS, verbose=0)])
        found[-1] += model.test_on_batch(X, NUMBERS)
    np.testing.assert_allclose(*found, rtol=1e-4)
    assert min(found[0]) > 0
