"""A recurrent network that reads a hundred steps of 64 features and names the class at the end."""

from synthetic import labelled

TITLE = "LSTM 256, 100 steps, batch 64, Adam"
BATCH, STEPS, OPTIMIZER = 64, 12, "adam"


def data(samples):
    return labelled(samples, (100, 64), classes=10)


def keras_model(keras):
    model = keras.Sequential([keras.Input((100, 64)), keras.layers.LSTM(256), keras.layers.Dense(10)])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(1e-3), loss, metrics=["accuracy"])
    return model


def tutorial(torch):
    class Recurrent(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.lstm = torch.nn.LSTM(64, 256, batch_first=True)
            self.output = torch.nn.Linear(256, 10)

        def forward(self, x):
            states, _ = self.lstm(x)
            return self.output(states[:, -1])

    return Recurrent()


def best(torch):
    class Recurrent(torch.nn.Module):
        """Time first in memory, as oneDNN's LSTM wants it."""

        def __init__(self):
            super().__init__()
            self.lstm = torch.nn.LSTM(64, 256)
            self.output = torch.nn.Linear(256, 10)

        def forward(self, x):
            _, (hidden, _) = self.lstm(x.transpose(0, 1).contiguous())
            return self.output(hidden[0])

    return Recurrent()
