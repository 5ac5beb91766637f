"""Eight convolutions in the manner of VGG: nearly all the time is arithmetic."""

from itertools import pairwise

from synthetic import labelled

TITLE = "VGG-8 on 32x32, batch 32, SGD with momentum"
BATCH, STEPS, OPTIMIZER = 32, 8, "sgd"
WIDTHS = (64, 64, 128, 128, 256, 256, 512, 512)  # a pooling after every second convolution


def data(samples):
    return labelled(samples, (32, 32, 3), classes=10)


def keras_model(keras):
    model = keras.Sequential([keras.Input((32, 32, 3))])
    for place, width in enumerate(WIDTHS):
        model.add(keras.layers.Conv2D(width, 3, padding="same", activation="relu"))
        if place % 2 == 1:
            model.add(keras.layers.MaxPooling2D(2))
    model.add(keras.layers.Flatten())
    model.add(keras.layers.Dense(10))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(0.01, momentum=0.9), loss, metrics=["accuracy"])
    return model


def tutorial(torch):
    nn = torch.nn
    layers = []
    for place, (before, after) in enumerate(pairwise((3, *WIDTHS))):
        layers += [nn.Conv2d(before, after, 3, padding=1), nn.ReLU()]
        if place % 2 == 1:
            layers.append(nn.MaxPool2d(2))
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(2048, 10))


def best(torch):
    nn, F = torch.nn, torch.nn.functional

    class VGG(nn.Module):
        def __init__(self):
            super().__init__()
            self.convs = nn.ModuleList(nn.Conv2d(a, b, 3, padding=1) for a, b in pairwise((3, *WIDTHS)))
            self.output = nn.Linear(2048, 10)
            self.to(memory_format=torch.channels_last)

        def forward(self, x):
            x = x.permute(0, 3, 1, 2)
            for place, conv in enumerate(self.convs):
                x = conv(x)
                x = F.relu_(F.max_pool2d(x, 2) if place % 2 == 1 else x)
            return self.output(x.permute(0, 2, 3, 1).flatten(1))

    return VGG()
