"""A GPT over characters as one trains it on a laptop: Lamella's `GPT` against nanoGPT's model, of the same size."""

from synthetic import text

TITLE = "character GPT, 4 layers of 128, 128 tokens, batch 32, AdamW"
BATCH, STEPS, OPTIMIZER = 32, 6, "adamw"
LAYERS, WIDTH, HEADS, LENGTH, VOCABULARY = 4, 128, 4, 128, 65


def data(samples):
    return text(samples, LENGTH, VOCABULARY)


def keras_model(lamella):
    """Only Lamella has this model."""
    import importlib

    language = importlib.import_module(f"{lamella.__name__}.language")
    model = language.GPT(VOCABULARY, LENGTH, LAYERS, HEADS, WIDTH, activation="gelu")
    model.compile(lamella.optimizers.AdamW(1e-3, weight_decay=0.1), metrics=["accuracy"])
    return model


def tutorial(torch):
    from rows.char_gpt_torch import NanoGPT

    return NanoGPT(LAYERS, WIDTH, HEADS, LENGTH, VOCABULARY)


def best(torch):
    return tutorial(torch)
