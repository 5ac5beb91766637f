"""Says in words what pictures of shapes, and short videos of a moving shape, show.

    python examples/caption_shapes.py --task pictures      # "a red circle at the top"
    python examples/caption_shapes.py --task videos        # "a red circle moves left"

Some combinations of words are held out: the model sees red circles, and things at the top, but never a red circle at
the top until it is tested. The share of captions that are right word for word, and BLEU, are told for combinations that
were trained on and for those that were not.
"""

import argparse
import time

import numpy as np

import lamella
from lamella.callbacks import LambdaCallback, Pace
from lamella.datasets import shapes
from lamella.language import Bleu, Tokenizer
from lamella.sequences import Captioner

HELD_OUT = 5  # one of so many combinations
COLOURS = {"red": (220, 40, 40), "green": (40, 200, 60), "blue": (50, 80, 230), "yellow": (230, 210, 50)}
DIRECTIONS = {"left": (0, -1), "right": (0, 1), "up": (-1, 0), "down": (1, 0)}


def pictures(count: int, seed: int) -> tuple[list[np.ndarray], list[str]]:
    """Pictures of one shape, its colour and where it is; those of which that is hard to say are left out."""
    (x, targets), _ = shapes.load_data("detection", count, 0, size=(48, 48), max_shapes=1, seed=seed)
    kept, captions = [], []
    for picture, (box,), (label,) in zip(x, targets["boxes"], targets["classes"], strict=True):
        left, top, right, bottom = box.astype(int)
        middle = picture[(top + bottom) // 2, (left + right) // 2].astype(int)
        across, down = left + right - 48, top + bottom - 48
        if abs(abs(across) - abs(down)) < 8 or np.ptp(np.sort(middle)[1:]) < 40:  # a corner, or a mixed colour
            continue
        colour = ("red", "green", "blue")[middle.argmax()]
        side = ("left" if across < 0 else "right") if abs(across) > abs(down) else ("top" if down < 0 else "bottom")
        kept.append(picture)
        captions.append(f"a {colour} {shapes.CLASS_NAMES[label]} at the {side}")
    return kept, captions


def videos(count: int, seed: int) -> tuple[list[np.ndarray], list[str]]:
    """Five to eight frames of a shape that moves, over a noisy ground."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:32, :32]
    clips, captions = [], []
    for _ in range(count):
        shape, colour, way = (rng.choice(list(names)) for names in (shapes.CLASS_NAMES, COLOURS, DIRECTIONS))
        length, radius, speed = rng.integers(5, 9), rng.uniform(4, 6), rng.uniform(1.5, 2.2)
        steps = speed * (np.arange(length) - length / 2)[:, None] * DIRECTIONS[way]
        y, x = np.moveaxis(rng.uniform(12, 20, 2) + steps, -1, 0)[..., None, None]
        y, x = rows - y, columns - x
        inside = {
            "circle": y**2 + x**2 < radius**2,
            "square": np.maximum(abs(y), abs(x)) < 0.85 * radius,
            "triangle": (y < 0.7 * radius) & (2 * abs(x) < y + 1.2 * radius),
        }[shape]
        clip = np.where(inside[..., None], COLOURS[colour], rng.uniform(60, 170))
        clip += 12 * rng.standard_normal(clip.shape)
        clips.append(clip.clip(0, 255).astype(np.uint8))
        captions.append(f"a {colour} {shape} moves {way}")
    return clips, captions


TASKS: dict = {"pictures": (pictures, (48, 48), 40_000, 10), "videos": (videos, (32, 32), 6000, 6)}


def parted(data: tuple, held_out: set[str]) -> tuple[tuple, tuple]:
    """The samples whose captions are not held out, and those whose are."""
    parts: tuple = (([], []), ([], []))
    for image, caption in zip(*data, strict=True):
        part = parts[caption in held_out]
        part[0].append(image)
        part[1].append(caption)
    return parts


def tell(model: Captioner, name: str, data: tuple, beams: int) -> None:
    """Prints how many captions are right."""
    images, captions = data
    found = model.predict(images, num_beams=beams)
    exact = np.mean([a == b for a, b in zip(found, captions, strict=True)])
    bleu = Bleu()
    bleu.update_state(captions, found)
    wrong = next((f"{b!r} for {a!r}" for a, b in zip(captions, found, strict=True) if a != b), "nothing")
    print(f"{name:<24} {len(captions):4} samples  exact {exact:.3f}  BLEU {float(bleu.result()):.1f}  (wrong: {wrong})")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--task", choices=TASKS, default="pictures")
    parser.add_argument("--samples", type=int, help="how many to draw for training")
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--no-attention", action="store_true", help="only what the encoder kept in its last state")
    parser.add_argument("--beams", type=int, default=4)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()

    lamella.utils.set_random_seed(options.seed)
    make, size, samples, epochs = TASKS[options.task]
    data = make(options.samples or samples, options.seed + 1)
    combinations = sorted(set(data[1]))
    held_out = set(np.random.default_rng(options.seed).permutation(combinations)[: len(combinations) // HELD_OUT])
    training, _ = parted(data, held_out)
    known, new = parted(make(1000, options.seed + 2), held_out)
    print(f"{len(combinations)} combinations, held out: {', '.join(sorted(held_out))}")

    tokenizer = Tokenizer.train(training[1], "word")
    model = Captioner(
        tokenizer, image_size=size, units=128, embedding_size=32, attention=not options.no_attention, max_length=12
    )
    model.compile(lamella.optimizers.AdamW(weight_decay=1e-3, clipnorm=1.0))
    print(f"{model.count_params():,} weights, {len(training[1])} samples to train on")
    started = time.perf_counter()

    def line(epoch: int, logs: dict[str, float]) -> None:
        figures = "  ".join(f"{name} {value:.3f}" for name, value in logs.items())
        print(f"epoch {epoch + 1:2}  {(time.perf_counter() - started) / 60:4.1f} min  {figures}", flush=True)

    callbacks = [Pace(2e-3), LambdaCallback(on_epoch_end=line)]
    model.fit(*training, epochs=options.epochs or epochs, verbose=0, callbacks=callbacks)
    tell(model, "combinations trained on", known, options.beams)
    tell(model, "combinations held out", new, options.beams)


if __name__ == "__main__":
    main()
