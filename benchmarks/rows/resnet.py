"""ResNet-50 with the stride in the 3x3 convolution (He et al. 2015, as trained since), on small images."""

from synthetic import labelled

TITLE = "ResNet-50 on 112x112, batch 16, SGD with momentum"
BATCH, STEPS, OPTIMIZER = 16, 4, "sgd"
STAGES = ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2))  # width, blocks, stride of the first block
CLASSES = 1000


def data(samples):
    return labelled(samples, (112, 112, 3), CLASSES)


def keras_model(keras):
    layers = keras.layers

    def convolve(x, width, size, stride=1):
        x = layers.Conv2D(width, size, stride, padding="same", use_bias=False)(x)
        return layers.BatchNormalization(momentum=0.9, epsilon=1e-5)(x)

    def bottleneck(x, width, stride):
        shortcut = x
        if stride > 1 or x.shape[-1] != 4 * width:
            shortcut = convolve(x, 4 * width, 1, stride)
        x = layers.ReLU()(convolve(x, width, 1))
        x = layers.ReLU()(convolve(x, width, 3, stride))
        x = convolve(x, 4 * width, 1)
        return layers.ReLU()(layers.Add()([x, shortcut]))

    images = keras.Input((112, 112, 3))
    x = layers.ReLU()(convolve(images, 64, 7, 2))
    x = layers.MaxPooling2D(3, 2, padding="same")(x)
    for width, blocks, stride in STAGES:
        for block in range(blocks):
            x = bottleneck(x, width, stride if block == 0 else 1)
    x = layers.GlobalAveragePooling2D()(x)
    model = keras.Model(images, layers.Dense(CLASSES)(x))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(0.01, momentum=0.9), loss, metrics=["accuracy"])
    return model


def tutorial(torch):
    from rows.resnet_torch import ResNet

    return ResNet(STAGES, CLASSES)


def best(torch):
    from rows.resnet_torch import LeanResNet

    return LeanResNet(STAGES, CLASSES).to(memory_format=torch.channels_last)
