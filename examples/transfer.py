"""What a network learnt of five classes helps it to learn five others from ten pictures each.

python examples/transfer.py [digits | mnist | fashion_mnist | cifar10]

A small CNN learns classes 0 to 4 from thousands of pictures; then classes 5 to 9 are learnt from ten pictures each,
in four ways, and measured on test pictures. `digits` needs no download, but is too small to show a gain.
"""

import sys

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import lamella as keras
from lamella import layers
from lamella.vision import FeatureExtractor

PICTURES = 10  # of each new class
SEEDS = 5
MOST = 30_000  # pictures of the old classes, and at most a third as many to measure on


def load(name):
    (x, y), (x_test, y_test) = getattr(keras.datasets, name).load_data()
    x, x_test = (part.reshape(*part.shape[:3], -1) / np.float32(x.max()) for part in (x, x_test))
    return (x, y.ravel().astype(int)), (x_test, y_test.ravel().astype(int))


def convolutions(shape):
    base = keras.Sequential([keras.Input(shape)])
    for filters in (32, 64) if shape[0] < 16 else (32, 64, 64):
        base.add(layers.Conv2D(filters, 3, padding="same", use_bias=False))
        base.add(layers.BatchNormalization(momentum=0.9))
        base.add(layers.ReLU())
        base.add(layers.MaxPooling2D())
    base.add(layers.Flatten())
    return base


def with_head(base, moved=False):
    """With `moved`, pictures are moved and turned a little while training: what is learnt is then more general."""
    inputs = h = keras.Input(base.input_shape[1:])
    if moved:
        h = layers.RandomTranslation(0.1, 0.1, fill_mode="constant")(h)
        h = layers.RandomRotation(0.05, fill_mode="constant")(h)
    h = layers.Dropout(0.3)(base(h))
    return keras.Model(inputs, layers.Dense(5)(h))


def train(model, x, y, rate, epochs, batch_size=10):
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(rate), loss, metrics=["accuracy"])
    model.fit(x, y, batch_size=batch_size, epochs=epochs, verbose=0)


def accuracy(model, x, y):
    return model.evaluate(x, y, batch_size=256, verbose=0)[1]


def four_ways(base, few, test, seed):
    keras.utils.set_random_seed(seed)
    found = {}
    model = with_head(convolutions(base.input_shape[1:]))
    train(model, *few, 1e-3, epochs=40)
    found["from scratch"] = accuracy(model, *test)

    own = keras.models.clone_model(base)
    own.set_weights(base.get_weights())
    own.trainable = False  # its BatchNormalization then keeps the averages that it learnt
    model = with_head(own)
    train(model, *few, 1e-2, epochs=20)
    found["frozen, new head"] = accuracy(model, *test)

    own.trainable = True
    train(model, *few, 3e-4, epochs=20)  # compiled anew, and slowly: now all weights are trained
    found["then fine-tuned"] = accuracy(model, *test)

    pipeline = make_pipeline(FeatureExtractor(base), StandardScaler(), LogisticRegression(max_iter=1000))
    found["features + logistic regression"] = pipeline.fit(*few).score(*test)
    return found


def compare(name, seeds=SEEDS, most=MOST):
    (x, y), (x_test, y_test) = load(name)
    keras.utils.set_random_seed(0)
    base = convolutions(x.shape[1:])
    old = np.flatnonzero(y < 5)[:most]
    train(with_head(base, moved=True), x[old], y[old], 1e-3, epochs=min(max(4, 60_000 // len(old)), 20), batch_size=32)
    new = np.flatnonzero(y_test >= 5)[: most // 3]
    test = x_test[new], y_test[new] - 5
    runs = []
    for seed in range(seeds):
        random = np.random.default_rng(seed)
        rows = np.concatenate([random.choice(np.flatnonzero(y == c), PICTURES, replace=False) for c in range(5, 10)])
        runs.append(four_ways(base, (x[rows], y[rows] - 5), test, seed))
    return {way: np.array([run[way] for run in runs]) for way in runs[0]}


if __name__ == "__main__":
    name = sys.argv[1] if len(sys.argv) > 1 else "digits"
    print(f"{name}: 5 new classes, {PICTURES} pictures each; accuracy, mean and spread of {SEEDS} draws")
    for way, values in compare(name).items():
        print(f"{way:<32}{values.mean():.3f} ± {values.std():.3f}")
