"""Models that Lamella and Keras both can make: each function gets either library as `k`."""

import numpy as np

IMAGES, STEPS, ROWS, TOKENS = (6, 12, 12, 3), (6, 7, 5), (6, 8), (6, 9)


def sequence(k, *layers, shape):
    return k.Sequential([k.Input(shape), *layers])


def dense(k):
    dense = k.layers.Dense
    return sequence(
        k,
        dense(8, "relu", kernel_regularizer="l2", name="first"),
        k.layers.Dropout(0.0),
        dense(8, "gelu", kernel_initializer="he_normal", kernel_constraint=k.constraints.MaxNorm(3.0)),
        dense(3, activation="softmax", use_bias=False),
        shape=ROWS[1:],
    )


def without_input(k):
    model = k.Sequential([k.layers.Dense(5, "tanh"), k.layers.Dense(3, "softmax")])
    model.build((None, ROWS[1]))
    return model


def branches(k):
    x = k.Input(ROWS[1:])
    a, b = k.layers.Dense(6, "relu")(x), k.layers.Dense(6)(x)
    merged = [k.layers.Add()([a, b]), k.layers.Multiply()([a, b]), k.layers.Average()([a, b])]
    merged += [k.layers.Maximum()([a, b]), k.layers.Minimum()([a, b]), k.layers.Subtract()([a, b])]
    merged += [k.layers.Dot(axes=1, normalize=True)([a, b])]
    return k.Model(x, k.layers.Dense(3, "softmax")(k.layers.Concatenate()(merged)))


def shared(k):
    x = k.Input(ROWS[1:])
    layer = k.layers.Dense(8, "tanh", name="again")
    return k.Model(x, k.layers.Dense(3, "softmax")(layer(layer(layer(x)))))


def nested(k):
    inner_in = k.Input((6,))
    inner = k.Model(inner_in, k.layers.Dense(6, "relu")(inner_in) + inner_in, name="inner")
    x = k.Input(ROWS[1:])
    h = inner(k.layers.Dense(6)(x))
    h = k.Sequential([k.layers.Dense(6, "relu"), k.layers.Dense(6)], name="chain")(h)
    return k.Model(x, k.layers.Dense(3, "softmax")(inner(h)))


def operators(k):
    x = k.Input(ROWS[1:])
    h = k.layers.Dense(8)(x)
    h = (h * 2.0 + x) / 3.0 - 0.5
    return k.Model(x, k.layers.Dense(3, "softmax")(k.layers.Concatenate()([h[:, :4], -h[:, 4:], abs(h)])))


def operations(k):
    x = k.Input(STEPS[1:])
    h = k.ops.concatenate([k.ops.mean(x, axis=1), k.ops.max(x, axis=1), k.ops.sum(k.ops.square(x), axis=1)], axis=-1)
    h = k.ops.expand_dims(k.ops.relu(h), axis=1)
    h = k.ops.reshape(k.ops.transpose(h, (0, 2, 1)), (-1, 15))
    return k.Model(x, k.layers.Dense(3, "softmax")(k.ops.where((h > 1.0) & (h != 2.0), k.ops.sqrt(h), h)))


def several_inputs_and_outputs(k):
    a, b = k.Input(ROWS[1:], name="left"), k.Input(ROWS[1:], name="right")
    h = k.layers.Concatenate()([a, b])
    return k.Model([a, b], {"one": k.layers.Dense(3, name="one")(h), "two": k.layers.Dense(2, name="two")(h)})


def activations(k):
    layers = k.layers
    return sequence(
        k,
        *(layers.Dense(6), layers.ReLU(max_value=3.0), layers.LeakyReLU(), layers.ELU(), layers.PReLU()),
        *(layers.Activation("swish"), layers.Dense(3), layers.Softmax()),
        shape=ROWS[1:],
    )


def residual_pictures(k):
    layers = k.layers
    x = k.Input(IMAGES[1:])
    h = layers.Conv2D(8, 3, padding="same", use_bias=False)(layers.Rescaling(0.5)(x))
    h = layers.ReLU()(layers.BatchNormalization()(h))
    h = layers.ReLU()(layers.Add()([h, layers.Conv2D(8, 1)(x)]))
    h = layers.MaxPooling2D()(layers.ZeroPadding2D(1)(h))
    return k.Model(x, layers.Dense(3, "softmax")(layers.GlobalAveragePooling2D()(h)))


def pictures_of_every_kind(k):
    layers = k.layers
    return sequence(
        k,
        layers.SeparableConv2D(6, 3, activation="relu"),
        layers.DepthwiseConv2D(3, depth_multiplier=2),
        layers.Conv2DTranspose(4, 3, strides=2, padding="same"),
        layers.Cropping2D(1),
        layers.UpSampling2D(2, interpolation="bilinear"),
        layers.AveragePooling2D(2),
        layers.SpatialDropout2D(0.0),
        layers.GroupNormalization(2),
        layers.LayerNormalization(),
        layers.GlobalMaxPooling2D(),
        layers.Dense(3, "softmax"),
        shape=IMAGES[1:],
    )


def signals(k):
    layers = k.layers
    return sequence(
        k,
        layers.ZeroPadding1D(2),
        layers.Conv1D(6, 3, padding="causal", activation="relu"),
        layers.SeparableConv1D(6, 3),
        layers.MaxPooling1D(2),
        layers.UpSampling1D(2),
        layers.Conv1DTranspose(4, 3),
        layers.DepthwiseConv1D(2),
        layers.AveragePooling1D(2),
        layers.GlobalAveragePooling1D(),
        layers.Dense(3, "softmax"),
        shape=STEPS[1:],
    )


def volumes(k):
    layers = k.layers
    return sequence(
        k,
        layers.Reshape((6, 6, 4, 3)),
        layers.Conv3D(4, 2, activation="relu"),
        layers.MaxPooling3D((2, 2, 1)),
        layers.Conv3DTranspose(3, 2),
        layers.Flatten(),
        layers.Dense(3, "softmax"),
        shape=IMAGES[1:],
    )


def embedded_tokens(k):
    layers = k.layers
    return sequence(
        k,
        layers.Embedding(20, 6, mask_zero=True),
        layers.LSTM(5, return_sequences=True),
        layers.GRU(4),
        layers.Dense(3, "softmax"),
        shape=TOKENS[1:],
    )


def recurrent(k, shape=STEPS[1:]):
    layers = k.layers
    return sequence(
        k,
        layers.Bidirectional(layers.LSTM(4, return_sequences=True)),
        layers.TimeDistributed(layers.Dense(5, "relu")),
        layers.SimpleRNN(4, return_sequences=True),
        layers.RNN([k.layers.LSTMCell(3), k.layers.GRUCell(3)], return_sequences=True),
        layers.GRU(4, reset_after=False, go_backwards=True),
        layers.RepeatVector(2),
        layers.Flatten(),
        layers.Dense(3, "softmax"),
        shape=shape,
    )


def encoder_and_decoder(k):
    layers = k.layers
    x = k.Input(STEPS[1:])
    _, *state = layers.LSTM(4, return_state=True)(x)
    h = layers.LSTM(4, return_sequences=True)(x, initial_state=state)
    return k.Model(x, layers.Dense(3, "softmax")(layers.GlobalAveragePooling1D()(h)))


def moving_pictures(k):
    layers = k.layers
    return sequence(
        k,
        layers.Reshape((4, 6, 6, 3)),
        layers.ConvLSTM2D(4, 3),
        layers.Flatten(),
        layers.Dense(3, "softmax"),
        shape=IMAGES[1:],
    )


def attention(k):
    layers = k.layers
    x = k.Input(STEPS[1:])
    h = layers.MultiHeadAttention(2, 4)(x, x)
    h = layers.LayerNormalization()(layers.Add()([x, h]))
    h = h + layers.Attention(use_scale=True)([h, x]) + layers.AdditiveAttention()([h, x])
    h = layers.EinsumDense("abc,cd->abd", output_shape=(None, 6), bias_axes="d", activation="relu")(h)
    return k.Model(x, layers.Dense(3, "softmax")(layers.GlobalMaxPooling1D()(h)))


def grouped_attention(k):
    layers = k.layers
    x = k.Input(STEPS[1:])
    h = layers.GroupQueryAttention(4, 4, 2)(x, x)
    return k.Model(x, layers.Dense(3, "softmax")(layers.Flatten()(layers.RMSNormalization()(h))))


def normalizations(k):
    layers = k.layers
    return sequence(
        k,
        layers.Normalization(mean=[0.1] * 8, variance=[2.0] * 8),
        layers.Dense(6),
        layers.UnitNormalization(),
        layers.SpectralNormalization(layers.Dense(6)),
        layers.BatchNormalization(momentum=0.8),
        layers.GaussianNoise(0.0),
        layers.AlphaDropout(0.0),
        layers.GaussianDropout(0.0),
        layers.ActivityRegularization(l2=1e-3),
        layers.Dense(3, "softmax"),
        shape=ROWS[1:],
    )


def reshaped(k):
    layers = k.layers
    return sequence(
        k,
        layers.Permute((2, 1)),
        layers.Reshape((7, 5)),
        layers.Masking(0.0),
        layers.Cropping1D((1, 1)),
        layers.Flatten(),
        layers.Identity(),
        layers.Dense(3, "softmax"),
        shape=STEPS[1:],
    )


def bins_and_classes(k):
    layers = k.layers
    return sequence(
        k,
        layers.Discretization(bin_boundaries=[-0.5, 0.0, 0.5]),
        layers.CategoryEncoding(4, output_mode="multi_hot"),
        layers.Dense(3, "softmax"),
        shape=ROWS[1:],
    )


def resized(k):
    layers = k.layers
    return sequence(
        k,
        layers.Resizing(8, 8),
        layers.CenterCrop(6, 6),
        layers.RandomZoom(0.0),
        layers.Flatten(),
        layers.Dense(3, "softmax"),
        shape=IMAGES[1:],
    )


def subclassed(k):
    @k.saving.register_keras_serializable("zoo")
    class Block(k.layers.Layer):
        def __init__(self, units, **kwargs):
            super().__init__(**kwargs)
            self.units = units
            self.first = k.layers.Dense(units, "relu")
            self.rest = [k.layers.Dense(units), k.layers.Dense(units)]

        def build(self, input_shape):
            self.first.build(input_shape)
            for layer in self.rest:
                layer.build((*input_shape[:-1], self.units))
            self.scale = self.add_weight(shape=(self.units,), initializer="ones", name="scale")

        def call(self, inputs):
            h = self.first(inputs)
            for layer in self.rest:
                h = h + layer(h)
            return h * self.scale

        def get_config(self):
            return {**super().get_config(), "units": self.units}

    @k.saving.register_keras_serializable("zoo")
    class Net(k.Model):
        def __init__(self, units=6, **kwargs):
            super().__init__(**kwargs)
            self.units = units
            self.blocks = [Block(units), Block(units)]
            self.out = k.layers.Dense(3, "softmax")

        def call(self, inputs, training=None):
            for block in self.blocks:
                inputs = block(inputs)
            return self.out(inputs)

        def get_config(self):
            return {**super().get_config(), "units": self.units}

    model = Net(units=5, name="net")
    model(np.zeros((2, ROWS[1]), "float32"))
    return model


ZOO = {
    dense: ROWS,
    without_input: ROWS,
    branches: ROWS,
    shared: ROWS,
    nested: ROWS,
    operators: ROWS,
    operations: STEPS,
    activations: ROWS,
    residual_pictures: IMAGES,
    pictures_of_every_kind: IMAGES,
    signals: STEPS,
    volumes: IMAGES,
    embedded_tokens: TOKENS,
    recurrent: STEPS,
    encoder_and_decoder: STEPS,
    moving_pictures: IMAGES,
    attention: STEPS,
    grouped_attention: STEPS,
    normalizations: ROWS,
    reshaped: STEPS,
    bins_and_classes: ROWS,
    resized: IMAGES,
    subclassed: ROWS,
}
"""Each model with the shape of its inputs; it tells three classes apart."""

OPTIMIZERS = {
    "Adam": {"learning_rate": 0.01},
    "SGD": {"learning_rate": 0.05, "momentum": 0.9, "nesterov": True},
    "RMSprop": {"momentum": 0.5, "centered": True},
    "AdamW": {"weight_decay": 0.01},
    "Adagrad": {},
    "Adadelta": {"learning_rate": 1.0},
    "Adamax": {},
    "Ftrl": {},
    "Lion": {},
    "Lamb": {},
    "Adafactor": {},
}


def data(shape, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.integers(1, 20, shape) if shape == TOKENS else rng.normal(size=shape).astype("float32")
    if shape == TOKENS:
        x[:, 6:] = 0  # padding
    return x, rng.integers(0, 3, shape[0])
