"""`torch.compile` sees a model as one graph: at a break it would compile layer by layer, and give up after a few."""

import pytest
import torch

import lamella
from lamella import layers, ops


class Listed(lamella.Model):
    """Layers in lists and dicts, gone through as users do."""

    def __init__(self):
        super().__init__()
        self.first = [layers.Dense(4, "relu") for _ in range(3)]
        self.named = {"a": layers.Dense(4), "b": layers.Dense(4)}
        self.pair = (layers.Dense(4), layers.Dropout(0.1))

    def call(self, x):
        for i, layer in enumerate(self.first):
            x = layer(x) + i
        for layer in self.first[1:]:
            x = layer(x) * x
        for name, layer in self.named.items():
            x = layer(x) if name else x
        for i in range(len(self.first)):
            x = self.first[i](x)
        for layer in self.pair:
            x = layer(x)
        return self.named["b"](x)


class Makes(lamella.Model):
    """Tensors that ops make: where, is for the default device to say."""

    def __init__(self):
        super().__init__()
        self.dense = layers.Dense(3)

    def call(self, x):
        joined = ops.concatenate([self.dense(x), ops.zeros((ops.shape(x)[0], 1))], -1)
        return joined + ops.cast(ops.arange(4), "float32") * ops.where(ops.sum(x) > 0, 1.0, 0.0)


def residual():
    x = start = lamella.Input((4,))
    for _ in range(10):
        x = layers.Dense(4, "gelu")(x) + x
    return lamella.Model(start, x)


def pictures():
    x = start = lamella.Input((8, 8, 3))
    for _ in range(3):
        x = layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(4, 3, padding="same")(x)))
        x = layers.MaxPooling2D(padding="same")(layers.Dropout(0.1)(x))
    return lamella.Model(start, layers.Dense(2)(layers.Flatten()(x)))


def attention():
    x = start = lamella.Input((6, 8))
    for _ in range(2):
        x = layers.LayerNormalization()(x + layers.MultiHeadAttention(2, 4)(x, x, use_causal_mask=True))
    return lamella.Model(start, x)


def masked_words():
    start = lamella.Input((6,), dtype="int32")
    x = layers.Embedding(9, 4, mask_zero=True)(start)
    x = layers.Bidirectional(layers.LSTM(3, return_sequences=True))(x)
    return lamella.Model(start, layers.GRU(3)(x))


@pytest.mark.parametrize("make", [Listed, Makes, residual, pictures, attention, masked_words])
def test_one_graph(make):
    model = make()
    shape = (4,) if make in (Listed, Makes) else model.input_shape[1:]
    x = torch.ones(3, *shape, dtype=torch.int32 if make is masked_words else torch.float32)
    model(x)
    model.train()
    torch.compiler.reset()
    torch.compile(model, backend="eager", fullgraph=True)(x)  # which raises at a break


@pytest.mark.skipif(torch.__version__ < "2.13", reason="older compilers do not go through tables of weak references")
def test_one_graph_while_another_layer_has_losses():
    other = layers.ActivityRegularization(0.1)
    other(torch.ones(2, 3))
    test_one_graph(masked_words)
    assert other.losses
