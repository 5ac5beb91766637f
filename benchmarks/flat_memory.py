"""Resident memory while a model trains on a folder of many small pictures: it must not grow from epoch to epoch.

python benchmarks/flat_memory.py --pictures 100000 --epochs 3
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

import lamella


def write(folder: Path, pictures: int) -> None:
    """Pictures of 16 by 16 in two classes."""
    rng = np.random.default_rng(0)
    for kind in range(2):
        (folder / str(kind)).mkdir()
    for i in range(pictures):
        values = rng.integers(0, 255, (16, 16, 3), dtype=np.uint8)
        Image.fromarray(values // (1 + i % 2)).save(folder / str(i % 2) / f"{i:06}.png", compress_level=1)


def resident() -> float:
    """Megabytes."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 2**20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pictures", type=int, default=100_000)
    parser.add_argument("--epochs", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        write(Path(name), options.pictures)
        data = lamella.utils.image_dataset_from_directory(name, image_size=(16, 16), batch_size=64)
        model = lamella.Sequential(
            [
                lamella.Input((16, 16, 3)),
                lamella.layers.Rescaling(1 / 255),
                lamella.layers.Conv2D(8, 3, activation="relu"),
                lamella.layers.GlobalAveragePooling2D(),
                lamella.layers.Dense(1, activation="sigmoid"),
            ]
        )
        model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
        begun = time.perf_counter()

        def tell(epoch: int, logs: dict[str, float]) -> None:
            seconds = time.perf_counter() - begun
            print(f"epoch {epoch + 1}: {resident():.0f} MB resident, {seconds:.0f} s, {logs}", flush=True)

        print(f"{options.pictures:,} pictures; before: {resident():.0f} MB")
        callbacks = [lamella.callbacks.LambdaCallback(on_epoch_end=tell)]
        model.fit(data, epochs=options.epochs, verbose=0, callbacks=callbacks)


if __name__ == "__main__":
    main()
