"""Pretrains a small BERT on sentences without labels, then fine-tunes it to tell good reviews from bad ones.

    python examples/pretrain_bert.py --data FOLDER --minutes 8

FOLDER holds rt-polarity.pos and rt-polarity.neg (Pang and Lee, 2005): 10,662 sentences of film reviews. A tenth is held
out; the rest is the text to pretrain on, and what --text names besides. The same network is fine-tuned twice, from the
pretrained weights and from random ones, so that one sees what the pretraining is worth.
"""

import argparse
import time
from pathlib import Path

import numpy as np
import torch
from sklearn.model_selection import train_test_split

import lamella
from lamella.callbacks import LambdaCallback, Pace
from lamella.language import (
    BERT,
    BERTClassifier,
    BERTMaskedLanguageModel,
    LengthBuckets,
    MaskedLanguageData,
    Tokenizer,
    read_texts,
)
from lamella.optimizers import AdamW

LONGEST = 96  # tokens; the reviews have 25 words at the mean, 81 tokens at most


def reviews(folder: Path) -> tuple[list[str], list[str], list[int], list[int]]:
    """Sentences to train on and to test on, and whether each is a good review (1) or a bad one (0)."""
    good, bad = (read_texts(folder / f"rt-polarity.{kind}", fallback="cp1252") for kind in ("pos", "neg"))
    labels = [1] * len(good) + [0] * len(bad)
    return train_test_split(good + bad, labels, test_size=0.1, random_state=0, stratify=labels)


def new_encoder(tokenizer: Tokenizer) -> BERT:
    return BERT(
        tokenizer.vocabulary_size,
        max_length=LONGEST,
        num_layers=4,
        num_heads=4,
        width=128,
        dropout=0.1,
        attention_dropout=0.0,  # the fused kernel
        tokenizer=tokenizer,
    )


def pretrain(encoder: BERT, texts: list[str], minutes: float) -> BERTMaskedLanguageModel:
    """Lets the encoder find hidden tokens until the minutes are over."""
    lists = encoder.known_tokenizer.encode_lists(texts, LONGEST, start=True, end=True)
    held = lists[::50]
    data = MaskedLanguageData(
        LengthBuckets([x for i, x in enumerate(lists) if i % 50], batch_size=64), encoder.tokenizer
    )
    test = MaskedLanguageData(
        LengthBuckets(held, batch_size=64, shuffle=False), encoder.tokenizer, dynamic=False, seed=0
    )
    model = BERTMaskedLanguageModel(encoder)
    model.compile(AdamW(1e-3, weight_decay=0.01, clipnorm=1.0), weighted_metrics=["sparse_categorical_accuracy"])
    started = time.perf_counter()

    def tell(epoch: int, logs: dict[str, float]) -> None:
        if epoch % 5 == 0:
            print(f"epoch {epoch + 1:3}  {time.perf_counter() - started:5.0f} s  loss {logs['loss']:.3f}", flush=True)

    callbacks = [Pace(1e-3, minutes), LambdaCallback(on_epoch_end=tell)]
    model.fit(data, epochs=100_000, verbose=0, callbacks=callbacks)
    found = model.evaluate(test, verbose=0, return_dict=True)
    right = found["sparse_categorical_accuracy"]
    print(f"hidden tokens of {len(held)} held-out sentences: loss {found['loss']:.3f}, {right:.1%} found")
    return model


def guesses(model: BERTMaskedLanguageModel, text: str, count: int = 5) -> list[str]:
    """The likeliest words in the place of [MASK]."""
    tokenizer = model.encoder.known_tokenizer
    inputs = model.encoder.encode([text])
    (place,) = (inputs["tokens"][0] == tokenizer.mask_id).nonzero()[0].tolist()
    best = np.argsort(-model.predict(inputs, verbose=0)[0, place])[:count]
    return [tokenizer.decode([i]) for i in best.tolist()]


def fine_tune(
    encoder: BERT, train: tuple[list[str], list[int]], test: tuple[list[str], list[int]], epochs: int
) -> float:
    """The share of test sentences that the classifier gets right."""

    def batches(texts: list[str], labels: list[int], shuffle: bool) -> LengthBuckets:
        lists = encoder.known_tokenizer.encode_lists(texts, LONGEST, start=True, end=True)
        return LengthBuckets(lists, labels, batch_size=32, shuffle=shuffle)

    model = BERTClassifier(encoder, ["bad", "good"])
    model.compile(AdamW(3e-4, weight_decay=0.01, clipnorm=1.0), metrics=["accuracy"])
    model.fit(batches(*train, shuffle=True), epochs=epochs, verbose=2, callbacks=[Pace(3e-4)])
    return model.evaluate(batches(*test, shuffle=False), verbose=0, return_dict=True)["accuracy"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="the folder of rt-polarity.pos and rt-polarity.neg")
    parser.add_argument("--text", type=Path, nargs="*", default=[], help="files to pretrain on too, a sentence a line")
    parser.add_argument("--minutes", type=float, default=8, help="how long to pretrain")
    parser.add_argument("--epochs", type=int, default=4, help="epochs of fine-tuning")
    parser.add_argument("--out", type=Path, help="a folder for the pretrained encoder, in Hugging Face's form")
    options = parser.parse_args()

    lamella.utils.set_random_seed(0)
    texts, test_texts, labels, test_labels = reviews(options.data)
    corpus = texts + [line for file in options.text for line in read_texts(file) if line.strip()]
    tokenizer = Tokenizer.train(corpus, kind="wordpiece", vocabulary_size=6000, lowercase=True)
    encoder = new_encoder(tokenizer)
    print(f"{encoder.count_params():,} weights, {len(corpus)} sentences, {torch.get_num_threads()} threads")
    model = pretrain(encoder, corpus, options.minutes)
    for text in ("a [MASK] film .", "one of the [MASK] movies of the year .", "the acting is [MASK] ."):
        print(f"{text:<42} {', '.join(guesses(model, text))}")
    if options.out:
        encoder.save_pretrained(options.out)

    train, test = (texts, labels), (test_texts, test_labels)
    before = fine_tune(new_encoder(tokenizer), train, test, options.epochs)
    after = fine_tune(encoder, train, test, options.epochs)
    print(f"accuracy on {len(test_texts)} held-out sentences: {after:.3f} pretrained, {before:.3f} from scratch")


if __name__ == "__main__":
    main()
