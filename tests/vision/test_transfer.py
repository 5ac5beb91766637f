"""Transfer learning as in Keras: freeze, put a new head on, train it, unfreeze, train on; numbers as real Keras's."""

import numpy as np
import pytest

import lamella

keras = pytest.importorskip("keras")

X = np.random.default_rng(0).normal(1.0, 2.0, (48, 6, 6, 2)).astype("float32")
Y = np.eye(3, dtype="float32")[np.random.default_rng(1).integers(0, 3, 48)]


def base(library):
    inputs = library.Input((6, 6, 2))
    h = library.layers.Conv2D(4, 3, name="conv")(inputs)
    h = library.layers.BatchNormalization(name="norm", momentum=0.9)(h)
    h = library.layers.Activation("relu", name="relu")(h)
    return library.Model(inputs, h, name="base")


def with_head(library, body, training):
    """Functional; where the guide says `training=False`, Keras's is subclassed: its functional one forgets it."""
    pool, head = library.layers.GlobalAveragePooling2D(name="pool"), library.layers.Dense(3, "softmax", name="head")
    inputs = library.Input((6, 6, 2))
    if training is None:
        return library.Model(inputs, head(pool(body(inputs))))
    if library is lamella:
        return library.Model(inputs, head(pool(body(inputs, training=training))))

    class Tuned(keras.Model):
        def __init__(self):
            super().__init__()
            self.body, self.pool, self.head = body, pool, head

        def call(self, x):
            return self.head(self.pool(self.body(x, training=training)))

    model = Tuned()
    model(X[:1])
    return model


def weights_like(arrays):
    random = np.random.default_rng(2)
    return [random.uniform(0.1, 0.3, array.shape).astype("float32") for array in arrays]


def train(library, model, rate=0.05, epochs=2):
    model.compile(library.optimizers.SGD(rate, momentum=0.9), "categorical_crossentropy")
    history = model.fit(X, Y, batch_size=16, epochs=epochs, shuffle=False, verbose=0)
    return history.history["loss"]


def assert_equal(ours, theirs):
    for mine, other in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(mine, other, rtol=2e-4, atol=2e-5)


def both(training):
    bodies = {library: base(library) for library in (keras, lamella)}
    start = weights_like(bodies[keras].get_weights())
    models = {}
    for library, body in bodies.items():
        body.set_weights(start)
        models[library] = with_head(library, body, training)
        models[library].layers[-1].set_weights([np.ones((4, 3)) * 0.1, np.zeros(3)])
    return bodies, models


@pytest.mark.parametrize("training", [False, None])
def test_the_guide_from_the_first_to_the_last_step(training):
    """Frozen base, new head; then fine-tuning. With `training=False` the moving averages stay still to the end."""
    bodies, models = both(training)
    for body in bodies.values():
        body.trainable = False
    before = bodies[lamella].get_weights()
    losses = {library: train(library, model) for library, model in models.items()}
    np.testing.assert_allclose(losses[lamella], losses[keras], rtol=1e-4)
    assert_equal(models[lamella], models[keras])
    for old, new in zip(before, bodies[lamella].get_weights(), strict=True):
        np.testing.assert_array_equal(new, old)  # the moving averages of the frozen BatchNormalization too

    for body in bodies.values():
        body.trainable = True
    losses = {library: train(library, model, 0.01) for library, model in models.items()}
    np.testing.assert_allclose(losses[lamella], losses[keras], rtol=1e-4)
    assert_equal(models[lamella], models[keras])
    moved = not np.array_equal(before[4], bodies[lamella].get_weights()[4])
    assert moved == (training is not False)


@pytest.mark.parametrize("training", [True, False])
def test_a_frozen_batch_normalization_infers_even_when_told_to_train(training):
    layers = {library: library.layers.BatchNormalization() for library in (keras, lamella)}
    start = None
    for layer in layers.values():
        layer.build((None, 6, 6, 2))
        start = start or weights_like(layer.get_weights())
        layer.set_weights(start)
        layer.trainable = False
    ours = layers[lamella](X, training=training).detach().numpy()
    np.testing.assert_allclose(
        ours, keras.ops.convert_to_numpy(layers[keras](X, training=training)), rtol=1e-4, atol=1e-4
    )
    for array, old in zip(layers[lamella].get_weights(), start, strict=True):
        np.testing.assert_array_equal(array, old)


def test_only_the_last_layers_of_a_base_are_tuned():
    bodies, models = both(None)
    for library, body in bodies.items():
        body.trainable = True
        for layer in body.layers[:-2]:
            layer.trainable = False
        train(library, models[library])
    assert_equal(models[lamella], models[keras])
    names = [[layer.name for layer in body.layers if layer.trainable] for body in bodies.values()]
    assert names[0] == names[1] == ["norm", "relu"]


def test_counts_of_weights_to_train():
    bodies, models = both(None)
    for body in bodies.values():
        body.trainable = False
    counts = [(len(m.trainable_weights), len(m.non_trainable_weights)) for m in models.values()]
    assert counts == [(2, 6), (2, 6)]
