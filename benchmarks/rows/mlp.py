"""A multilayer perceptron: so little arithmetic that the step's own overhead shows."""

from synthetic import labelled

TITLE = "MLP 784-128-10, batch 32, Adam"
BATCH, STEPS, OPTIMIZER = 32, 1000, "adam"


def data(samples):
    return labelled(samples, (784,), classes=10)


def keras_model(keras):
    model = keras.Sequential(
        [
            keras.Input((784,)),
            keras.layers.Dense(128, activation="relu"),
            keras.layers.Dense(10),
        ]
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(1e-3), loss, metrics=["accuracy"])
    return model


def tutorial(torch):
    nn = torch.nn
    return nn.Sequential(nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 10))


def best(torch):
    class Perceptron(torch.nn.Module):
        """Weights stored (in, out): MKL computes their gradient three times as fast as that of (out, in)."""

        def __init__(self):
            super().__init__()
            hidden, output = torch.nn.Linear(784, 128), torch.nn.Linear(128, 10)
            self.kernel1 = torch.nn.Parameter(hidden.weight.detach().t().contiguous())
            self.bias1 = hidden.bias
            self.kernel2 = torch.nn.Parameter(output.weight.detach().t().contiguous())
            self.bias2 = output.bias

        def forward(self, x):
            hidden = torch.addmm(self.bias1, x, self.kernel1).relu_()
            return torch.addmm(self.bias2, hidden, self.kernel2)

    return Perceptron()
