"""The small convolutional network that everybody trains on MNIST."""

from synthetic import labelled

TITLE = "MNIST CNN (32c3-p-64c3-p), batch 128, Adam"
BATCH, STEPS, OPTIMIZER = 128, 50, "adam"


def data(samples):
    return labelled(samples, (28, 28, 1), classes=10)


def keras_model(keras):
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            layers.Conv2D(32, 3, activation="relu"),
            layers.MaxPooling2D(2),
            layers.Conv2D(64, 3, activation="relu"),
            layers.MaxPooling2D(2),
            layers.Flatten(),
            layers.Dropout(0.5),
            layers.Dense(10),
        ]
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(1e-3), loss, metrics=["accuracy"])
    return model


def tutorial(torch):
    nn = torch.nn
    return nn.Sequential(
        nn.Conv2d(1, 32, 3),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 3),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Dropout(0.5),
        nn.Linear(1600, 10),
    )


def best(torch):
    nn, F = torch.nn, torch.nn.functional

    class ConvolutionalNetwork(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv1, self.conv2 = nn.Conv2d(1, 32, 3), nn.Conv2d(32, 64, 3)
            self.output = nn.Linear(1600, 10)
            self.to(memory_format=torch.channels_last)

        def forward(self, x):
            x = x.permute(0, 3, 1, 2)
            x = F.relu_(F.max_pool2d(self.conv1(x), 2))  # pooled first: a quarter of the values to rectify
            x = F.relu_(F.max_pool2d(self.conv2(x), 2))
            x = x.permute(0, 2, 3, 1).flatten(1)  # flattened in memory order: no copy
            keep = (torch.rand_like(x) < 0.5) * 2.0  # torch's own dropout draws twice as slowly
            return self.output(x * keep)

    return ConvolutionalNetwork()
