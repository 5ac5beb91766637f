"""`lamella train --task translate`: a translator from pairs of sentences; `lamella translate`: new sentences."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import lamella
from lamella.callbacks import Pace
from lamella.commands.run_folder import leave_behind, new_folder, observers, print_history
from lamella.commands.text_table import held_out, read_columns
from lamella.errors import DataError
from lamella.language import Bleu, RecurrentTranslator, SequenceToSequence, Tokenizer, Translator, read_texts
from lamella.optimizers import AdamW

MODELS = ("transformer", "lstm", "gru")
DATA = "a table of sentences and their translations (CSV or TSV), or a folder of train.en, train.de, ..."


@dataclass
class Options:
    """What `lamella train --task translate` was asked for."""

    data: str
    columns: Sequence[str] = ("source", "target")
    model: str = "transformer"
    epochs: int = 20
    minutes: float | None = None
    learning_rate: float = 1.5e-3
    validation_split: float = 0.05
    vocabulary: int = 6000
    seed: int = 0
    out: str | None = None
    verbose: int = 1
    doctor: bool = True


def train(options: Options) -> dict[str, float]:
    """Trains, states BLEU on pairs kept aside, and writes the model and its history; the scores."""
    lamella.utils.set_random_seed(options.seed)
    (sources, targets), (test_sources, test_targets) = read_pairs(options)
    tokenizer = Tokenizer.train([*sources, *targets], kind="byte_bpe", vocabulary_size=options.vocabulary)
    if options.model == "transformer":
        model: SequenceToSequence = Translator(tokenizer, feedforward_units=512, dropout=0.25)
    else:
        model = RecurrentTranslator(tokenizer, cell=options.model, width=320, dropout=0.35)
    rate = options.learning_rate
    model.compile(AdamW(rate, weight_decay=0.01, beta_2=0.98, global_clipnorm=1.0, use_ema=True, ema_momentum=0.998))
    folder = new_folder(f"translate-{options.model}", options.out)
    print(f"{model.count_params():,} weights; {len(sources):,} pairs to train on, {len(test_sources):,} to test on")
    start = time.perf_counter()
    history = model.fit(
        model.batches(sources, targets),
        epochs=options.epochs if options.minutes is None else 1_000_000,
        callbacks=[Pace(rate, options.minutes), *observers(folder, options.doctor)],
        verbose=options.verbose,
    ).history
    seconds = time.perf_counter() - start
    scores = model.evaluate(model.batches(test_sources, test_targets, shuffle=False), verbose=0, return_dict=True)
    translations, bleu = model.translate(test_sources), Bleu()
    bleu.update_state(test_targets, translations)
    scores["bleu"] = float(bleu.result())
    print_history(history, scores)
    for row in zip(test_sources[:3], translations[:3], test_targets[:3], strict=True):
        print("\nsource      {}\ntranslated  {}\nreference   {}".format(*row))
    print(f"\nBLEU {scores['bleu']:.1f} on {len(test_sources)} pairs ({seconds:.0f} s of training)")
    try_it = f'translate {folder / "model.keras"} "a sentence"'
    leave_behind(folder, model, asdict(options), history, scores, seconds, try_it)
    return scores


def read_pairs(options: Options) -> tuple[list[list[str]], list[list[str]]]:
    """Sources and targets to train on, and to test on.

    A folder has a file a language, `train.en` and `train.de` for the columns en and de (also as `.gz`), and may have
    `test.en` and `test.de`; of all else a share is kept aside.
    """
    folder = Path(options.data)
    if not folder.is_dir():
        return held_out(read_columns(folder, options.columns), options.validation_split, options.seed)
    parts = {part: [_file(folder, part, language) for language in options.columns] for part in ("train", "test")}
    if None in parts["train"]:
        names = [f"train.{language}" for language in options.columns]
        raise DataError(f"{folder}: there is no {names[0]} and {names[1]}. Name the endings: --columns en,de.")
    training, test = ([read_texts(file) for file in parts[part] if file is not None] for part in ("train", "test"))
    if len(training[0]) != len(training[1]):
        raise DataError(
            f"{parts['train'][0]} has {len(training[0])} lines, {parts['train'][1]} has {len(training[1])}."
        )
    if len(test) == 2:
        return training, test
    return held_out(training, options.validation_split, options.seed)


def _file(folder: Path, part: str, language: str) -> Path | None:
    found = (folder / f"{part}.{language}", folder / f"{part}.{language}.gz")
    return next((file for file in found if file.is_file()), None)


@dataclass
class Use:
    """What `lamella translate` was asked for."""

    model: str
    texts: Sequence[str] = ()
    file: str | None = None
    beams: int = 4


def translate(options: Use) -> list[str]:
    """Prints the translation of each text, and of each line of the file; the translations."""
    model = lamella.models.load_model(options.model)
    if not isinstance(model, SequenceToSequence):
        raise DataError(f"{options.model} is a {type(model).__name__}, not a translator.")
    texts = [*options.texts, *(read_texts(options.file) if options.file else [])]
    if not texts:
        raise DataError("There is nothing to translate: give texts, or --file FILE with one a line.")
    found = model.translate(texts, num_beams=options.beams)
    print("\n".join(text.replace("\n", " ") for text in found))
    return found
