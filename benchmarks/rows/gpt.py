"""A small GPT over characters (pre-norm, learned positions, no dropout)."""

from synthetic import text

TITLE = "GPT, 6 layers of 384, 256 tokens, batch 8, AdamW"
BATCH, STEPS, OPTIMIZER = 8, 4, "adamw"
LAYERS, WIDTH, HEADS, LENGTH, VOCABULARY = 6, 384, 6, 256, 65


def data(samples):
    return text(samples, LENGTH, VOCABULARY)


def keras_model(keras):
    layers = keras.layers

    class Positions(layers.Layer):
        """Adds one learned vector to each place."""

        def build(self, input_shape):
            self.table = self.add_weight(shape=(LENGTH, WIDTH), initializer="random_normal", name="table")

        def call(self, x):
            return x + self.table

    tokens = keras.Input((LENGTH,), dtype="int32")
    x = Positions()(layers.Embedding(VOCABULARY, WIDTH)(tokens))
    for _ in range(LAYERS):
        h = layers.LayerNormalization()(x)
        h = layers.MultiHeadAttention(HEADS, WIDTH // HEADS)(h, h, use_causal_mask=True)
        x = layers.Add()([x, h])
        h = layers.LayerNormalization()(x)
        h = layers.Dense(4 * WIDTH, activation="gelu")(h)
        x = layers.Add()([x, layers.Dense(WIDTH)(h)])
    logits = layers.Dense(VOCABULARY)(layers.LayerNormalization()(x))
    model = keras.Model(tokens, logits)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.AdamW(1e-3, weight_decay=0.1), loss, metrics=["accuracy"])
    return model


def tutorial(torch):
    from rows.gpt_torch import TutorialGPT

    return TutorialGPT(LAYERS, WIDTH, HEADS, LENGTH, VOCABULARY)


def best(torch):
    from rows.gpt_torch import LeanGPT

    return LeanGPT(LAYERS, WIDTH, HEADS, LENGTH, VOCABULARY)
