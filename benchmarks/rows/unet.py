"""U-Net with normalized, padded convolutions (Ronneberger et al. 2015): most of its work is on large maps."""

import numpy as np

TITLE = "U-Net, 32 filters, on 128x128, batch 8, Adam"
BATCH, STEPS, OPTIMIZER = 8, 4, "adam"
DEPTH, FILTERS, CLASSES = 4, 32, 2  # two outputs and a softmax: the binary cross-entropy that torch_bench.py knows


def data(samples):
    """Blocks that are a little lighter than the noise around them; one pixel in ten has the wrong label."""
    rng = np.random.default_rng(0)
    masks = (rng.random((samples, 8, 8)) < 0.4).repeat(16, axis=1).repeat(16, axis=2)
    images = rng.standard_normal((samples, 128, 128, 3), dtype=np.float32) + masks[..., None]
    return images, (masks ^ (rng.random(masks.shape) < 0.1)).astype("int64")


def keras_model(keras):
    layers = keras.layers

    def block(x, width):
        for _ in range(2):
            x = layers.Conv2D(width, 3, padding="same", use_bias=False)(x)
            x = layers.ReLU()(layers.BatchNormalization(momentum=0.9, epsilon=1e-5)(x))
        return x

    images = keras.Input((128, 128, 3))
    x, bridges = images, []
    for level in range(DEPTH):
        bridges.append(block(x, FILTERS * 2**level))
        x = layers.MaxPooling2D(2)(bridges[-1])
    x = block(x, FILTERS * 2**DEPTH)
    for level in reversed(range(DEPTH)):
        x = layers.Conv2DTranspose(FILTERS * 2**level, 2, 2)(x)
        x = block(layers.Concatenate()([bridges[level], x]), FILTERS * 2**level)
    model = keras.Model(images, layers.Conv2D(CLASSES, 1)(x))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(1e-3), loss, metrics=["accuracy"])
    return model


def tutorial(torch):
    from rows.unet_torch import UNet

    return UNet(DEPTH, FILTERS, CLASSES)


def best(torch):
    from rows.unet_torch import LeanUNet

    return LeanUNet(DEPTH, FILTERS, CLASSES).to(memory_format=torch.channels_last)
