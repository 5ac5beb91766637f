"""`lamella train --task text-classify`: which class a text is of, from a table of texts and labels."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
from sklearn.metrics import classification_report

import lamella
from lamella.callbacks import Pace
from lamella.commands.run_folder import leave_behind, new_folder, observers, print_history
from lamella.commands.text_table import held_out, read_columns
from lamella.errors import DataError
from lamella.language import TextClassifier, Tokenizer
from lamella.optimizers import AdamW

MODELS = ("cnn", "dnn", "lstm", "gru", "transformer")
DATA = "a table of texts and labels (CSV or TSV)"


@dataclass
class Options:
    """What `lamella train --task text-classify` was asked for."""

    data: str
    columns: Sequence[str] = ("text", "label")
    model: str = "cnn"
    epochs: int = 10
    batch_size: int = 32
    learning_rate: float = 1e-3
    validation_split: float = 0.1
    vocabulary: int = 20_000
    seed: int = 0
    out: str | None = None
    verbose: int = 1
    doctor: bool = True


def train(options: Options) -> dict[str, float]:
    """Trains, tests on rows kept aside, and writes the model and its history; the scores."""
    lamella.utils.set_random_seed(options.seed)
    texts, labels = read_columns(options.data, options.columns)
    names = sorted(set(labels))
    if len(names) < 2:
        raise DataError(f"{options.data}: all {len(labels)} labels are {names[0]!r}; two classes are needed.")
    (x, y), (x_test, y_test) = held_out([texts, labels], options.validation_split, options.seed)
    tokenizer = Tokenizer.train(x, kind="word", vocabulary_size=options.vocabulary, lowercase=True)
    model = TextClassifier(names, tokenizer, options.model)
    model.compile(AdamW(options.learning_rate, weight_decay=0.05))
    folder = new_folder(f"text-classify-{options.model}", options.out)
    print(f"{len(x):,} texts to train on, classes {dict(Counter(y))}; {len(x_test):,} to test on")
    start = time.perf_counter()
    history = model.fit(
        x,
        y,
        batch_size=options.batch_size,
        epochs=options.epochs,
        callbacks=[Pace(options.learning_rate), *observers(folder, options.doctor)],
        verbose=options.verbose,
    ).history
    seconds = time.perf_counter() - start
    scores = model.evaluate(x_test, y_test, verbose=0, return_dict=True)
    print_history(history, scores)
    print()
    print(classification_report(y_test, model.predict_classes(x_test), zero_division=0))
    try_it = f'classify {folder / "model.keras"} "a text"'
    leave_behind(folder, model, asdict(options), history, scores, seconds, try_it)
    return scores


@dataclass
class Use:
    """What `lamella classify` was asked for."""

    model: str
    texts: Sequence[str]


def classify(options: Use) -> list[str]:
    """Prints the likeliest class of each text and how sure the model is; the classes."""
    model = lamella.models.load_model(options.model)
    if not isinstance(model, TextClassifier):
        raise DataError(f"{options.model} is a {type(model).__name__}, not a TextClassifier.")
    probabilities = model.predict(list(options.texts))
    found = [model.class_names[i] for i in np.argmax(probabilities, -1)]
    for text, name, row in zip(options.texts, found, probabilities, strict=True):
        print(f"{name}  {row.max():.2f}  {text}")
    return found
