"""The command line: parses, and calls what is in `lamella.commands`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

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
    except (LamellaError, ImportError) as error:
        print(f"lamella train: {error}", file=sys.stderr)
        return 2
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="lamella", description="Keras's interface on PyTorch's engine.")
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
    train.add_argument("--epochs", type=_at_least(1), default=30)
    train.add_argument("--batch-size", type=_at_least(1), default=32, dest="batch_size")
    train.add_argument("--optimizer", default="adam", help="any optimizer by name")
    train.add_argument("--learning-rate", type=float, default=None, dest="learning_rate", help="the optimizer's own")
    train.add_argument("--hidden", type=_sizes, default=(128, 64), metavar="N,N", help="units of the hidden layers")
    train.add_argument("--dropout", type=float, default=0.2)
    train.add_argument("--validation-split", type=float, default=0.1, dest="validation_split")
    train.add_argument("--seed", type=int, default=0)
    train.add_argument("--out", default=None, help="the folder to write to; a new one in runs/ by default")
    train.add_argument("--verbose", type=int, choices=(0, 1, 2), default=1)
    return parser


def _at_least(least: int):  # type: ignore[no-untyped-def]
    def parse(text: str) -> int:
        value = int(text)
        if value < least:
            raise argparse.ArgumentTypeError(f"must be {least} or more, got {value}")
        return value

    parse.__name__ = "whole number"
    return parse


def _sizes(text: str) -> tuple[int, ...]:
    sizes = tuple(int(part) for part in text.split(",") if part.strip())
    if any(size < 1 for size in sizes):
        raise argparse.ArgumentTypeError(f"sizes must be 1 or more, got {text}")
    return sizes


if __name__ == "__main__":
    sys.exit(main())
