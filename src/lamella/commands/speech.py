"""`lamella train --task speech`: a speech recognizer from sounds and texts; `lamella transcribe`: what is said."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

import lamella
from lamella.callbacks import Pace
from lamella.commands.run_folder import leave_behind, new_folder, observers, print_history
from lamella.errors import DataError
from lamella.optimizers import AdamW
from lamella.sequences import AudioAugmentation, AudioDataset, CharacterErrorRate, SpeechRecognizer, WordErrorRate

MODELS = ("lstm",)
DATA = "a folder of sounds with a text file beside each, or a table of files and texts (CSV or TSV)"


@dataclass
class Options:
    """What `lamella train --task speech` was asked for."""

    data: str
    columns: Sequence[str] = ("path", "text")
    model: str = "lstm"
    epochs: int = 100
    minutes: float | None = None
    batch_size: int = 32
    learning_rate: float = 2e-3
    validation_split: float = 0.1
    sample_rate: int = 8000
    strict: bool = False
    seed: int = 0
    out: str | None = None
    verbose: int = 1
    doctor: bool = True


def train(options: Options) -> dict[str, float]:
    """Trains, states error rates on sounds kept aside, and writes the model and its history; the scores."""
    lamella.utils.set_random_seed(options.seed)
    data = read(options)
    order = np.random.default_rng(options.seed).permutation(data.num_sounds).tolist()
    count = max(1, round(options.validation_split * len(order)))
    if count >= len(order):
        raise DataError(f"{options.data}: {len(order)} sounds are too few: some are kept to test on.")

    def part(rows: list[int], **more: Any) -> AudioDataset:
        sounds, texts = [data.sound(i) for i in rows], [data.texts[i] for i in rows]
        return AudioDataset(sounds, texts, data.alphabet, options.sample_rate, options.batch_size, **more)

    training = part(order[count:], augment=AudioAugmentation(sample_rate=options.sample_rate))
    test = part(order[:count])
    model = SpeechRecognizer(data.alphabet, sample_rate=options.sample_rate)
    model.compile(AdamW(options.learning_rate, weight_decay=0.02), metrics=[CharacterErrorRate(), WordErrorRate()])
    folder = new_folder("speech", options.out)
    print(f"{model.count_params():,} weights; {data.report()}")
    start = time.perf_counter()
    history = model.fit(
        training,
        epochs=options.epochs if options.minutes is None else 1_000_000,
        callbacks=[Pace(options.learning_rate, options.minutes), *observers(folder, options.doctor)],
        verbose=options.verbose,
    ).history
    seconds = time.perf_counter() - start
    scores = model.evaluate(test, verbose=0, return_dict=True)
    print_history(history, scores)
    print()
    for name, value in scores.items():
        print(f"{name:<24} {value:.4f}")
    try_it = f"transcribe {folder / 'model.keras'} SOUNDS"
    leave_behind(folder, model, asdict(options), history, scores, seconds, try_it)
    return scores


def read(options: Options) -> AudioDataset:
    """All sounds that can be read, and their texts."""
    settings: dict[str, Any] = {"sample_rate": options.sample_rate, "strict": options.strict}
    if Path(options.data).is_dir():
        return AudioDataset.from_directory(options.data, **settings)
    path_column, text_column = options.columns
    return AudioDataset.from_manifest(options.data, path_column, text_column, **settings)


@dataclass
class Use:
    """What `lamella transcribe` was asked for."""

    model: str
    sounds: Sequence[str]
    beams: int = 8


def transcribe(options: Use) -> list[str]:
    """Prints what is said in each file; the texts."""
    model = lamella.models.load_model(options.model)
    if not isinstance(model, SpeechRecognizer):
        raise DataError(f"{options.model} is a {type(model).__name__}, not a SpeechRecognizer.")
    found = model.transcribe(list(options.sounds), num_beams=options.beams)
    for sound, text in zip(options.sounds, found, strict=True):
        print(f"{sound}: {text}")
    return found
