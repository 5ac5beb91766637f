"""Writes down spoken digits, letter by letter ("zero" to "nine"): a speech recognizer in a few minutes on one thread.

    python examples/transcribe_digits.py --data FOLDER --test takes
    python examples/transcribe_digits.py --data FOLDER --test george jackson

FOLDER holds recordings.zip (https://github.com/Jakobovski/free-spoken-digit-dataset), or what is in it.
`takes` tests on takes 0 to 4 of every speaker, whose other takes are trained on; a speaker's name tests on that
speaker, of whom nothing is trained on. The clock decides when a training is over.
"""

import argparse
import tempfile
import time
import zipfile
from pathlib import Path

import lamella
from lamella.callbacks import LambdaCallback, Pace
from lamella.optimizers import AdamW
from lamella.sequences import AudioAugmentation, AudioDataset, CharacterErrorRate, SpeechRecognizer, WordErrorRate

WORDS = "zero one two three four five six seven eight nine".split()
RATE = 8000


def recordings(data: Path) -> list[Path]:
    """The files, named digit_speaker_take.wav; a zip file is unpacked into a new folder."""
    if (data / "recordings.zip").exists():
        unpacked = Path(tempfile.mkdtemp(prefix="digits-"))
        zipfile.ZipFile(data / "recordings.zip").extractall(unpacked)
        data = unpacked
    return sorted(data.rglob("*_*_*.wav"))


def is_test(file: Path, test: str) -> bool:
    _, speaker, take = file.stem.split("_")
    return int(take) < 5 if test == "takes" else speaker == test


def dataset(files: list[Path], **options: object) -> AudioDataset:
    texts = [WORDS[int(file.name[0])] for file in files]
    return AudioDataset(files, texts, alphabet="".join(sorted(set("".join(WORDS)))), sample_rate=RATE, **options)


def train(data: AudioDataset, minutes: float, learning_rate: float) -> SpeechRecognizer:
    model = SpeechRecognizer(data.alphabet, sample_rate=RATE, hidden=64)
    optimizer = AdamW(learning_rate, weight_decay=0.02, use_ema=True, ema_momentum=0.99)
    model.compile(optimizer, metrics=[CharacterErrorRate(), WordErrorRate()])
    print(f"{model.count_params():,} weights. {data.report()}")
    started = time.perf_counter()

    def tell(epoch: int, logs: dict[str, float]) -> None:
        if epoch % 10 == 9:
            print(f"epoch {epoch + 1:3}  {time.perf_counter() - started:4.0f} s  loss {logs['loss']:.3f}", flush=True)

    model.fit(
        data, epochs=100_000, verbose=0, callbacks=[Pace(learning_rate, minutes), LambdaCallback(on_epoch_end=tell)]
    )
    return model


def error_rates(model: SpeechRecognizer, data: AudioDataset, num_beams: int) -> tuple[float, float]:
    """The error rates of characters and of words."""
    found = model.transcribe(data, num_beams=num_beams)
    metrics = CharacterErrorRate(), WordErrorRate()
    for metric in metrics:
        metric.update_state(data.texts, found)
    return float(metrics[0].result()), float(metrics[1].result())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="the folder of recordings.zip, or of the recordings")
    parser.add_argument("--test", nargs="+", default=["takes"], help="`takes`, or speakers to leave out, one by one")
    parser.add_argument("--minutes", type=float, default=5, help="how long each training lasts")
    parser.add_argument("--learning-rate", type=float, default=3e-3)
    parser.add_argument("--out", type=Path, default=Path("digits.keras"), help="a file for the last model")
    options = parser.parse_args()

    files = recordings(options.data)
    rates = []
    for test in options.test:
        lamella.utils.set_random_seed(0)
        augment = AudioAugmentation(speed=(0.8, 1.25), noise=(5.0, 40.0), sample_rate=RATE)  # voices, rooms
        data = dataset([file for file in files if not is_test(file, test)], augment=augment, batch_size=32)
        unseen = dataset([file for file in files if is_test(file, test)])
        model = train(data, options.minutes, options.learning_rate)
        for num_beams in (1, 8):
            characters, words = error_rates(model, unseen, num_beams)
            way = "greedy" if num_beams == 1 else f"{num_beams} beams"
            print(f"unseen {test}, {way:<7}: character error rate {characters:.2%}, word error rate {words:.2%}")
        rates.append((characters, words))
        some = list(zip(unseen.texts, model.transcribe(unseen, num_beams=8), strict=True))
        wrong = [f"{said} -> {found}" for said, found in some if said != found]
        print(f"{len(wrong)} of {len(some)} wrong: {', '.join(wrong[:8])}", flush=True)
    if len(rates) > 1:
        characters, words = (sum(column) / len(rates) for column in zip(*rates, strict=True))
        print(f"mean over {len(rates)}: character error rate {characters:.2%}, word error rate {words:.2%}")
    model.save(options.out)
    print(f"the model: {options.out}")


if __name__ == "__main__":
    main()
