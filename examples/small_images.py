"""Small convolutional networks for small pictures, from scratch, on a CPU: MNIST, Fashion-MNIST or CIFAR-10.

    python examples/small_images.py --dataset mnist

The pictures are downloaded, or taken from the folder that LAMELLA_DATA names.
"""

import argparse
import time
from dataclasses import dataclass

import lamella as keras
from lamella import layers


@dataclass
class Recipe:
    """How a data set is learned."""

    network: object
    augment: list  # layers that change pictures while training
    epochs: int
    rate: float  # the highest learning rate
    batch: int = 64


def convolution(x, width, size=3, stride=1, rectified=True):
    x = layers.Conv2D(width, size, stride, padding="same", use_bias=False, kernel_initializer="he_normal")(x)
    x = layers.BatchNormalization(momentum=0.9)(x)
    return layers.ReLU()(x) if rectified else x


def plain(x):
    """Three convolutions, each on half the size of the last: 90,000 weights."""
    for width in (32, 64, 128):
        x = layers.MaxPooling2D(2)(convolution(x, width))
    return layers.Dropout(0.3)(layers.Flatten()(x))


def residual(x):
    """A residual network (He et al. 2015) of one wide block a size: 310,000 weights."""
    x = convolution(x, 32)
    for width, stride in ((32, 1), (64, 2), (128, 2)):
        shortcut = x if stride == 1 else convolution(x, width, 1, stride, rectified=False)
        x = convolution(convolution(x, width, 3, stride), width, rectified=False)
        x = layers.ReLU()(layers.Add()([x, shortcut]))
    return layers.GlobalAveragePooling2D()(x)


def shifts(share):
    return layers.RandomTranslation(share, share, fill_mode="constant", interpolation="nearest")


RECIPES = {
    "mnist": Recipe(plain, [shifts(0.08)], epochs=5, rate=0.1),
    "fashion_mnist": Recipe(plain, [layers.RandomFlip("horizontal"), shifts(0.05)], epochs=15, rate=0.1),
    "cifar10": Recipe(
        residual,
        [
            layers.RandomFlip("horizontal"),
            shifts(0.125),
            layers.RandomErasing((0.5, 0.5), (0.05, 0.25), fill_value=0, value_range=(-9, 9)),  # "cutout"
        ],
        epochs=25,
        rate=0.2,
    ),
}

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--dataset", choices=RECIPES, default="mnist")
parser.add_argument("--epochs", type=int, help="instead of the recipe's own number")
options = parser.parse_args()
recipe = RECIPES[options.dataset]
epochs = options.epochs or recipe.epochs

keras.utils.set_random_seed(0)
(x_train, y_train), (x_test, y_test) = getattr(keras.datasets, options.dataset).load_data()
if x_train.ndim == 3:
    x_train, x_test = x_train[..., None], x_test[..., None]
y_train, y_test = (keras.utils.to_categorical(y.ravel(), 10) for y in (y_train, y_test))

x = inputs = keras.Input(x_train.shape[1:])
x = layers.Normalization(mean=x_train.mean((0, 1, 2)), variance=x_train.var((0, 1, 2)))(x)
for layer in recipe.augment:
    x = layer(x)
model = keras.Model(inputs, layers.Dense(10)(recipe.network(x)))

steps = epochs * -(-len(x_train) // recipe.batch)
rate = keras.optimizers.schedules.CosineDecay(
    recipe.rate / 20, steps * 4 // 5, warmup_target=recipe.rate, warmup_steps=steps // 5
)
model.compile(
    keras.optimizers.SGD(rate, momentum=0.9, nesterov=True, weight_decay=0.005),
    keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.1),
    metrics=["accuracy"],
)
started = time.perf_counter()
model.fit(x_train, y_train, recipe.batch, epochs, validation_data=(x_test, y_test), verbose=2)
seconds = time.perf_counter() - started
loss, accuracy = model.evaluate(x_test, y_test, batch_size=256, verbose=0)
print(
    f"{options.dataset}: test accuracy {accuracy:.4f}, {len(x_train):,} + {len(x_test):,} pictures, "
    f"{model.count_params():,} weights, {epochs} epochs, {seconds:.0f} seconds"
)
