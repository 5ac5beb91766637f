"""The command line: parses, and calls what is in `lamella.commands`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from typing import NoReturn

DATASETS = ("digits", "mnist", "fashion_mnist", "cifar10", "california_housing")
MODELS = ("mlp", "cnn", "logistic")


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs `lamella ARGUMENTS`; the exit code.

    Example:
        >>> main([])  # doctest: +ELLIPSIS
        usage: lamella ...
        0
    """
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.version:
        from importlib.metadata import version

        print(f"lamella {version('lamella')}")
        return 0
    if options.command == "run":
        from lamella.commands.run import run

        return run(options.script, options.arguments)
    if options.command == "train":
        return _train(options)
    if options.command == "predict":
        return _predict(options)
    parser.print_help()
    return 0


def _train(options: argparse.Namespace) -> int:
    from lamella.errors import LamellaError

    given = {name: value for name, value in vars(options).items() if value is not None}
    task = given.pop("task")
    for name in ("command", "version"):
        given.pop(name, None)
    foreign = sorted(set(given) & (_OF_DETECTION if task == "classify" else _OF_CLASSIFICATION))
    try:
        if foreign:
            names = ", ".join(f"--{name.replace('_', '-')}" for name in foreign)
            raise LamellaError(f"{names} does not go with --task {task}.")
        if task == "detect":
            from lamella.commands import detect

            if "data" not in given:
                raise LamellaError("--task detect needs --data FOLDER, with pictures and labels.")
            _known("model", given.get("model", detect.MODELS[0]), detect.MODELS)
            detect.train(detect.Options(**given))
        else:
            from lamella.commands import train

            _known("model", given.get("model", MODELS[0]), MODELS)
            train.train(train.Options(**given))
    except (LamellaError, ImportError, OSError) as error:
        print(f"lamella train: {error}", file=sys.stderr)
        return 2
    return 0


_OF_DETECTION = {"data", "image_size", "minutes", "strict"}
_OF_CLASSIFICATION = {"dataset", "hidden", "dropout", "validation_split"}


def _known(option: str, value: str, choices: Sequence[str]) -> None:
    from lamella.errors import LamellaError

    if value not in choices:
        raise LamellaError(f"--{option}: invalid choice: {value!r} (choose from {', '.join(choices)})")


def _predict(options: argparse.Namespace) -> int:
    from lamella.commands.predict import Options, predict
    from lamella.errors import LamellaError

    given = {name: value for name, value in vars(options).items() if name not in ("command", "version")}
    try:
        predict(Options(**given))
    except (LamellaError, ImportError, OSError) as error:
        print(f"lamella predict: {error}", file=sys.stderr)
        return 2
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="lamella", description="Keras's interface on PyTorch's engine.")
    parser.add_argument("--version", action="store_true", help="print the version")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")

    run = commands.add_parser(
        "run",
        help="run a Keras script, unchanged",
        description="Runs a Python script in which `keras` and `tensorflow.keras` are Lamella.",
    )
    run.add_argument("script", metavar="SCRIPT")
    run.add_argument("arguments", nargs=argparse.REMAINDER, metavar="ARGUMENTS", help="handed to the script")

    train = commands.add_parser(
        "train",
        help="train a model on a data set or on your pictures",
        description="Trains, evaluates, and writes the model and the learning curve to runs/.",
    )
    train.add_argument("--task", choices=("classify", "detect"), default="classify", help="classify by default")
    train.add_argument("--dataset", choices=DATASETS, help="to classify: digits by default, which needs no download")
    train.add_argument(
        "--data", metavar="DIR", help="to detect: pictures with labels in YOLO's, COCO's or VOC's format"
    )
    train.add_argument("--model", help=f"to classify {', '.join(MODELS)}; to detect yolo-n, -s, -m, faster-rcnn")
    train.add_argument("--epochs", type=_whole(1), help="30 to classify, 100 to detect")
    train.add_argument(
        "--minutes", type=_number("above 0", lambda m: 0 < m < float("inf")), help="to detect: instead of epochs"
    )
    train.add_argument("--batch-size", type=_whole(1), dest="batch_size", help="32 to classify, 16 to detect")
    train.add_argument(
        "--image-size", type=_image_size, dest="image_size", metavar="N|HxW", help="to detect: 320, or 256x320"
    )
    train.add_argument("--optimizer", help="any optimizer by name; adam to classify, adamw to detect")
    train.add_argument(
        "--learning-rate",
        type=_number("above 0", lambda r: 0 < r < float("inf")),
        dest="learning_rate",
        help="the optimizer's own; to detect, the highest",
    )
    train.add_argument("--hidden", type=_sizes, metavar="N,N", help="to classify: units of the hidden layers, 128,64")
    train.add_argument("--dropout", type=_number("from 0 to 1", lambda p: 0 <= p <= 1), help="to classify: 0.2")
    train.add_argument(
        "--validation-split",
        type=_number("from 0 to below 1", lambda part: 0 <= part < 1),
        dest="validation_split",
        help="to classify: the share of the training data that is kept for validation, 0.1",
    )
    train.add_argument("--strict", action="store_true", default=None, help="to detect: refuse a broken file")
    train.add_argument("--seed", type=_whole(0, 2**32 - 1), help="0")
    train.add_argument("--out", help="the folder to write to; a new one in runs/ by default")
    train.add_argument("--verbose", type=int, choices=(0, 1, 2), help="1, a progress bar; 2, a line an epoch")

    predict = commands.add_parser(
        "predict",
        help="what a saved model sees in pictures",
        description="Prints what a model sees in pictures; draws it on them, or writes it as JSON.",
    )
    predict.add_argument("model", metavar="MODEL", help="a .keras file")
    predict.add_argument("images", metavar="IMAGES", nargs="+", help="pictures, or folders of them")
    predict.add_argument("--draw", metavar="OUT", help="a folder for the pictures with the predictions drawn on them")
    predict.add_argument("--json", metavar="FILE", help="a file for the predictions")
    predict.add_argument(
        "--threshold",
        type=_number("from 0 to 1", lambda p: 0 <= p <= 1),
        default=0.25,
        help="what is less sure is left out",
    )
    predict.add_argument("--batch-size", type=_whole(1), default=8, dest="batch_size")
    predict.add_argument("--strict", action="store_true", help="stop at a picture that cannot be read")
    return parser


class _Parser(argparse.ArgumentParser):
    """A parser whose complaint is one line: the usage is a `--help` away."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message} (see {self.prog} --help)\n")


def _whole(least: int, most: int | None = None) -> Callable[[str], int]:
    wanted = f"a whole number of {least} or more" if most is None else f"a whole number from {least} to {most}"

    def parse(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = least - 1
        if value < least or (most is not None and value > most):
            raise argparse.ArgumentTypeError(f"must be {wanted}; got {text!r}")
        return value

    return parse


def _number(wanted: str, allowed: Callable[[float], bool]) -> Callable[[str], float]:
    def parse(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = float("nan")
        if not allowed(value):
            raise argparse.ArgumentTypeError(f"must be a number {wanted}; got {text!r}")
        return value

    return parse


def _image_size(text: str) -> tuple[int, int]:
    try:
        sides = tuple(int(side) for side in text.lower().split("x"))
    except ValueError:
        sides = ()
    if len(sides) not in (1, 2) or min(sides) < 1:
        raise argparse.ArgumentTypeError(f"must be a number of pixels, or HEIGHTxWIDTH; got {text!r}")
    return sides[0], sides[-1]


def _sizes(text: str) -> tuple[int, ...]:
    try:
        sizes = tuple(int(part) for part in text.split(","))
    except ValueError:
        sizes = ()
    if not sizes or min(sizes) < 1:
        raise argparse.ArgumentTypeError(f"must be whole numbers of 1 or more, such as 128,64; got {text!r}")
    return sizes


if __name__ == "__main__":
    sys.exit(main())
