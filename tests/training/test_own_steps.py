"""A `train_step` of one's own that ends in `minimize`, and what callbacks hear of a training that fails."""

import numpy as np
import pytest
import torch

import lamella
from lamella import callbacks, layers

pytestmark = pytest.mark.filterwarnings("ignore:.* weights have no gradient")

X = np.random.default_rng(0).normal(size=(32, 4)).astype("float32")
Y = X @ np.array([[1.0], [-2.0], [0.5], [0.0]], "float32")


class Regression(lamella.Model):
    """One layer that computes, and one that is never called."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.dense = layers.Dense(1)
        self.idle = layers.Dense(1)
        self.idle.build((None, 4))

    def call(self, x):
        return self.dense(x)


class Minimizes(Regression):
    def train_step(self, data):
        x, y = data
        loss = self.compute_loss(x, y, self(x, training=True))
        self.minimize(loss)
        return {"loss": loss.detach()}


def trained(kind, **fit):
    lamella.utils.set_random_seed(1)
    model = kind()
    model(X[:1])
    model.compile(lamella.optimizers.Adam(0.05), "mse")
    model.fit(X, Y, batch_size=8, epochs=3, verbose=0, **fit)
    return model


def test_a_step_that_minimizes_is_the_step_of_fit():
    for one, other in zip(trained(Regression).get_weights(), trained(Minimizes).get_weights(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6, atol=1e-7)


def test_frozen_weights_and_those_without_a_gradient_stay():
    class Frozen(Minimizes):
        def __init__(self):
            super().__init__()
            self.frozen = layers.Dense(4, trainable=False)

        def call(self, x):
            return self.dense(self.frozen(x))

    lamella.utils.set_random_seed(1)
    model = Frozen()
    model(X[:1])
    frozen, idle, moved = (layer.get_weights()[0] for layer in (model.frozen, model.idle, model.dense))
    model.compile("adam", "mse")
    model.fit(X, Y, epochs=2, verbose=0)
    np.testing.assert_array_equal(model.frozen.get_weights()[0], frozen)
    np.testing.assert_array_equal(model.idle.get_weights()[0], idle)
    assert not np.array_equal(model.dense.get_weights()[0], moved)


def test_minimizing_scales_the_loss_where_the_optimizer_says_so():
    class Overflows(lamella.optimizers.LossScaleOptimizer):
        seen = ()

        def apply(self, grads, trainable_variables=None):
            Overflows.seen = [g.clone() for g in grads if g is not None]
            super().apply(grads, trainable_variables)

    model = Minimizes()
    model(X[:1])
    model.compile(Overflows(lamella.optimizers.SGD(0.0), initial_scale=1024.0), "mse")
    x, y = torch.from_numpy(X), torch.from_numpy(Y)
    expected = torch.autograd.grad(model.compute_loss(x, y, model(x)), list(model.dense.parameters()))
    model.train_on_batch(X, Y)
    for seen, plain in zip(Overflows.seen, expected, strict=True):
        torch.testing.assert_close(seen, 1024 * plain)


@pytest.mark.parametrize("error", [KeyError("from the stream"), RuntimeError("of torch")])
def test_callbacks_hear_of_an_error_and_not_of_an_end(error):
    heard = []

    class Listens(callbacks.Callback):
        def on_train_begin(self, logs=None):
            heard.append("begin")

        def on_train_end(self, logs=None):
            heard.append("end")

        def on_train_error(self, error):
            heard.append(error)

    def batches():
        yield X, Y
        raise error

    model = Regression()
    model(X[:1])
    model.compile("sgd", "mse")
    with pytest.raises(type(error)):
        model.fit(batches(), verbose=0, callbacks=[Listens()])
    assert heard == ["begin", error]


def test_a_batch_on_its_own_gives_what_the_step_returned():
    model = Minimizes()
    model(X[:1])
    model.compile("sgd", "mse")
    first = model.train_on_batch(X, Y)
    assert first > model.train_on_batch(X, Y) > 0
    assert list(model.train_on_batch(X, Y, return_dict=True)) == ["loss"]


def test_a_batch_on_its_own_whose_loss_is_no_number_says_so():
    model = Regression()
    model(X[:1])
    model.compile("sgd", "mse")
    with pytest.raises(lamella.errors.NonFiniteError, match="became inf at step 1"):
        model.train_on_batch(X, np.full_like(Y, 3e38))


def test_a_model_may_be_written_for_batches_of_one_size():
    class Noisy(lamella.Model):
        def __init__(self):
            super().__init__()
            self.dense = layers.Dense(1)

        def call(self, inputs):
            return self.dense(inputs + torch.zeros(16, 1))

    model = Noisy()
    model.compile("sgd", "mse")
    history = model.fit(np.ones((32, 3)), np.ones((32, 1)), batch_size=16, verbose=0)
    assert len(history.history["loss"]) == 1
    with pytest.raises(RuntimeError, match=r"must match the size of tensor b \(16\)"):
        model.fit(np.ones((32, 3)), np.ones((32, 1)), batch_size=8, verbose=0)


def test_a_model_may_have_a_loss_of_its_own():
    class Own(lamella.Model):
        def __init__(self):
            super().__init__()
            self.dense = layers.Dense(4)
            self.loss = lamella.losses.MeanAbsoluteError()

        def call(self, inputs):
            return self.dense(inputs)

        def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
            return self.loss(x, y_pred)

    model = Own()
    model.compile("sgd")
    losses = model.fit(X, epochs=3, verbose=0).history["loss"]
    assert losses[2] < losses[0]
    model.compile("sgd", "mse")
    assert model.loss == "mse"


def test_a_model_of_two_that_only_has_a_step():
    class Autoencoder(lamella.Model):
        def __init__(self, encoder, decoder):
            super().__init__()
            self.encoder, self.decoder = encoder, decoder
            self.tracker = lamella.metrics.Mean(name="loss")

        @property
        def metrics(self):
            return [self.tracker]

        def train_step(self, data):
            loss = (self.decoder(self.encoder(data)) - data).square().mean()
            self.minimize(loss)
            self.tracker.update_state(loss)
            return {"loss": self.tracker.result()}

    encoder = lamella.Sequential([lamella.Input((4,)), layers.Dense(3)])
    model = Autoencoder(encoder, lamella.Sequential([layers.Dense(4)]))  # the decoder is built in the first step
    model.compile(lamella.optimizers.Adam(0.01))
    losses = model.fit(X, epochs=20, verbose=0).history["loss"]
    assert losses[-1] < 0.8 * losses[0]
    assert len(model.trainable_weights) == len(model.optimizer.variables[2:]) / 2 == 4
    with pytest.raises(NotImplementedError, match="no call"):
        model.predict(X, verbose=0)


def test_two_networks_against_each_other_with_an_optimizer_each():
    class Adversaries(lamella.Model):
        def __init__(self):
            super().__init__()
            self.discriminator = lamella.Sequential([lamella.Input((2,)), layers.Dense(8, "relu"), layers.Dense(1)])
            self.generator = lamella.Sequential([lamella.Input((3,)), layers.Dense(2)])
            self.seeds = lamella.random.SeedGenerator(1)

        def compile(self, d_optimizer, g_optimizer, loss_fn):
            super().compile()
            self.d_optimizer, self.g_optimizer, self.loss_fn = d_optimizer, g_optimizer, loss_fn

        def train_step(self, real):
            made = self.generator(lamella.random.normal((len(real), 3), seed=self.seeds))
            scores = self.discriminator(torch.cat([made.detach(), real]))
            labels = torch.cat([torch.ones(len(real), 1), torch.zeros(len(real), 1)])
            d_loss = self.stepped(self.d_optimizer, self.loss_fn(labels, scores), self.discriminator)
            scores = self.discriminator(made)
            g_loss = self.stepped(self.g_optimizer, self.loss_fn(torch.zeros_like(scores), scores), self.generator)
            return {"d_loss": d_loss, "g_loss": g_loss}

        def stepped(self, optimizer, loss, network):
            weights = network.trainable_weights
            optimizer.apply(torch.autograd.grad(loss, weights), weights)
            return loss.detach()

    model = Adversaries()
    loss = lamella.losses.BinaryCrossentropy(from_logits=True)
    model.compile(lamella.optimizers.Adam(1e-2), lamella.optimizers.Adam(1e-2), loss)
    before = [weight.detach().clone() for weight in model.weights]
    history = model.fit(X[:, :2] + 3, epochs=3, verbose=0).history
    assert len(history["d_loss"]) == len(history["g_loss"]) == 3
    assert all((a != b).any() for a, b in zip(before, model.weights, strict=True))


def test_a_step_as_keras_2_wrote_it():
    class Old(lamella.Model):
        def train_step(self, data):
            x, y = data
            y_pred = self(x, training=True)
            loss = self.compiled_loss(y, y_pred, regularization_losses=self.losses)
            weights = self.trainable_variables
            self.optimizer.apply_gradients(zip(torch.autograd.grad(loss, weights), weights, strict=True))
            self.compiled_metrics.update_state(y, y_pred)
            return {metric.name: metric.result() for metric in self.metrics}

    def trained(kind):
        inputs = lamella.Input((4,))
        model = kind(inputs, layers.Dense(1, kernel_initializer="ones", kernel_regularizer="l2")(inputs))
        model.compile("sgd", "mse", metrics=["mae"])
        return model.fit(X, Y, epochs=2, shuffle=False, verbose=0).history

    old, new = trained(Old), trained(lamella.Model)
    assert old["mae"] == pytest.approx(new["mae"])
    assert old["loss"][1] < old["loss"][0] < new["loss"][0]  # the penalty trains, but was not part of the tracked loss


@pytest.mark.parametrize("built", [False, True])
def test_a_discriminator_is_trained_as_it_was_compiled(built):
    start = [lamella.Input((2,))] if built else []
    discriminator = lamella.Sequential([*start, layers.Dense(8, "relu"), layers.Dense(1, "sigmoid")])
    discriminator.compile("sgd", "binary_crossentropy", metrics=["accuracy"])
    generator = lamella.Sequential([lamella.Input((3,)), layers.Dense(2)])
    discriminator.trainable = False
    noise = lamella.Input((3,))
    combined = lamella.Model(noise, discriminator(generator(noise)))
    combined.compile("sgd", "binary_crossentropy")

    def after(act):
        before = [[w.detach().clone() for w in net.weights] for net in (discriminator, generator)]
        act()
        return [
            any((a != b).any() for a, b in zip(old, net.weights, strict=True))
            for old, net in zip(before, (discriminator, generator), strict=True)
        ]

    x, z = X[:, :2], np.random.default_rng(1).normal(size=(32, 3)).astype("float32")
    assert after(lambda: discriminator.train_on_batch(x, np.ones((32, 1)))) == [True, False]
    assert after(lambda: combined.train_on_batch(z, np.ones((32, 1)))) == [False, True]
    assert not discriminator.trainable_weights and len(combined.trainable_weights) == 2
    with pytest.warns(UserWarning, match="nothing to train"):
        discriminator.fit(x, np.ones((32, 1)), verbose=0)


def test_without_weights_to_train_fit_measures():
    model = lamella.Sequential([layers.Rescaling(2.0), layers.BatchNormalization(center=False, scale=False)])
    model.compile("adam", "mse", metrics=["mae"])
    x = X[:, :2]
    with pytest.warns(UserWarning, match="nothing to train"):
        history = model.fit(x, x, epochs=2, verbose=0).history
    assert history["loss"][1] != history["loss"][0]  # the averages of the normalization follow all the same
    assert np.abs(model.get_weights()[0]).max() > 0
    assert set(history) == {"loss", "mae"}
