"""The network of a small YOLO (as YOLOv8n): many short convolutions, normalized, on maps of many sizes."""

import numpy as np

TITLE = "YOLO, 3.2 million weights, on 320x320, batch 8, SGD with momentum"
BATCH, STEPS, OPTIMIZER = 8, 4, "sgd"
SIZE, CLASSES, BINS = 320, 80, 16
WIDTHS, FEW, MANY = (16, 32, 64, 128, 256), 1, 2  # channels at strides 2 to 32; blocks in a stage
OUTPUTS = 4 * BINS + CLASSES


def data(samples):
    """The loss of detectors is not what is measured: each point of the raw maps has a label of its own."""
    rng = np.random.default_rng(0)
    points = sum((SIZE // stride) ** 2 for stride in (8, 16, 32))
    images = rng.standard_normal((samples, SIZE, SIZE, 3), dtype=np.float32)
    return images, rng.integers(0, OUTPUTS, (samples, points))


def keras_model(keras):
    layers = keras.layers

    def convolve(x, width, size, stride=1):
        x = layers.Conv2D(width, size, stride, padding="same", use_bias=False)(x)
        return layers.Activation("silu")(layers.BatchNormalization(momentum=0.97, epsilon=1e-3)(x))

    def stage(x, width, blocks, residual):
        x = convolve(x, width, 1)
        parts, y = [x], x[..., width // 2 :]
        for _ in range(blocks):
            z = convolve(convolve(y, width // 2, 3), width // 2, 3)
            y = layers.Add()([y, z]) if residual else z
            parts.append(y)
        return convolve(layers.Concatenate()(parts), width, 1)

    def pool_pyramid(x, width):
        parts = [convolve(x, width // 2, 1)]
        for _ in range(3):
            parts.append(layers.MaxPooling2D(5, 1, padding="same")(parts[-1]))
        return convolve(layers.Concatenate()(parts), width, 1)

    def head(x, width, outputs):
        x = convolve(convolve(x, width, 3), width, 3)
        return layers.Conv2D(outputs, 1)(x)

    c2, c4, c8, c16, c32 = WIDTHS
    images = keras.Input((SIZE, SIZE, 3))
    x = stage(convolve(convolve(images, c2, 3, 2), c4, 3, 2), c4, FEW, True)
    x8 = stage(convolve(x, c8, 3, 2), c8, MANY, True)
    x16 = stage(convolve(x8, c16, 3, 2), c16, MANY, True)
    x32 = pool_pyramid(stage(convolve(x16, c32, 3, 2), c32, FEW, True), c32)
    up16 = stage(layers.Concatenate()([layers.UpSampling2D(2)(x32), x16]), c16, FEW, False)
    y8 = stage(layers.Concatenate()([layers.UpSampling2D(2)(up16), x8]), c8, FEW, False)
    y16 = stage(layers.Concatenate()([convolve(y8, c8, 3, 2), up16]), c16, FEW, False)
    y32 = stage(layers.Concatenate()([convolve(y16, c16, 3, 2), x32]), c32, FEW, False)
    maps = []
    for y in (y8, y16, y32):
        both = [head(y, max(c8 // 4, 4 * BINS), 4 * BINS), head(y, max(c8, CLASSES), CLASSES)]
        maps.append(layers.Reshape((-1, OUTPUTS))(layers.Concatenate()(both)))
    model = keras.Model(images, layers.Concatenate(axis=1)(maps))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(0.01, momentum=0.9), loss, metrics=["accuracy"])
    return model


def tutorial(torch):
    from rows.yolo_torch import YOLO

    return YOLO(WIDTHS, FEW, MANY, BINS, CLASSES)


def best(torch):
    from rows.yolo_torch import LeanYOLO

    return LeanYOLO(WIDTHS, FEW, MANY, BINS, CLASSES).to(memory_format=torch.channels_last)
