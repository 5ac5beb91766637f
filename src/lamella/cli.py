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
    parser.print_help()
    return 0


def _train(options: argparse.Namespace) -> int:
    from lamella.commands.train import Options, train
    from lamella.errors import LamellaError

    given = {name: value for name, value in vars(options).items() if name not in ("command", "version")}
    try:
        train(Options(**given))
    except (LamellaError, ImportError, OSError) as error:
        print(f"lamella train: {error}", file=sys.stderr)
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
        help="train a model on a data set",
        description="Trains, evaluates, and writes the weights and the learning curve to runs/.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    train.add_argument("--dataset", choices=DATASETS, default="digits", help="digits needs no download")
    train.add_argument("--model", choices=MODELS, default="mlp")
    train.add_argument("--epochs", type=_whole(1), default=30)
    train.add_argument("--batch-size", type=_whole(1), default=32, dest="batch_size")
    train.add_argument("--optimizer", default="adam", help="any optimizer by name")
    train.add_argument(
        "--learning-rate",
        type=_number("above 0", lambda r: 0 < r < float("inf")),
        dest="learning_rate",
        help="the optimizer's own",
    )
    train.add_argument("--hidden", type=_sizes, default=(128, 64), metavar="N,N", help="units of the hidden layers")
    train.add_argument("--dropout", type=_number("from 0 to 1", lambda p: 0 <= p <= 1), default=0.2)
    train.add_argument(
        "--validation-split",
        type=_number("from 0 to below 1", lambda part: 0 <= part < 1),
        default=0.1,
        dest="validation_split",
        help="the share of the training data that is kept for validation",
    )
    train.add_argument("--seed", type=_whole(0, 2**32 - 1), default=0)
    train.add_argument("--out", default=None, help="the folder to write to; a new one in runs/ by default")
    train.add_argument("--verbose", type=int, choices=(0, 1, 2), default=1)
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
