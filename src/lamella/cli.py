"""The command line: parses, and calls what is in `lamella.commands`."""

from __future__ import annotations

import argparse
import dataclasses
import importlib
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

DATASETS = ("digits", "mnist", "fashion_mnist", "cifar10", "california_housing")
TASKS = {
    "classify": "train",
    "detect": "detect",
    "text-classify": "text_classify",
    "generate": "generate",
    "translate": "translate",
    "forecast": "forecast",
    "speech": "speech",
}
COMMANDS = {
    "predict": "predict",
    "classify": "text_classify",
    "generate": "generate",
    "translate": "translate",
    "transcribe": "speech",
    "forecast": "forecast",
    "serve": "serve",
    "report": "report",
    "watch": "watch",
}
"""Which module of `lamella.commands` does a task of `lamella train`, and what a model that was trained can do."""


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
    if options.command in ("run", "train"):
        from lamella.commands import launch

        count = options.__dict__.pop("nproc")
        if count > 1 and "RANK" not in os.environ:
            return launch.in_processes(count, list(sys.argv[1:] if arguments is None else arguments))
        launch.join()
    if options.command == "run":
        from lamella.commands.run import run

        return run(options.script, options.arguments)
    if options.command == "profile":
        from lamella.commands.profile import profile

        return profile(options.script, options.arguments, options.steps, options.trace)
    if options.command == "train":
        return _train(options)
    if options.command in COMMANDS:
        return _use(options)
    parser.print_help()
    return 0


def _train(options: argparse.Namespace) -> int:
    from lamella.errors import LamellaError

    def train() -> None:
        module = importlib.import_module(f"lamella.commands.{TASKS[options.task]}")
        given = {name: value for name, value in vars(options).items() if value is not None}
        for name in ("task", "command", "version"):
            given.pop(name)
        known = {field.name for field in dataclasses.fields(module.Options)}
        foreign = ", ".join(f"--{name.replace('_', '-')}" for name in sorted(set(given) - known))
        if foreign:
            raise LamellaError(f"{foreign} does not go with --task {options.task}.")
        if "data" in known and "data" not in given:
            raise LamellaError(f"--task {options.task} needs --data, {module.DATA}.")
        model = given.get("model", module.MODELS[0])
        if model not in module.MODELS:
            raise LamellaError(f"--model: invalid choice: {model!r} (choose from {', '.join(module.MODELS)})")
        module.train(module.Options(**given))

    return _told("train", train)


def _use(options: argparse.Namespace) -> int:
    def use() -> None:
        module = importlib.import_module(f"lamella.commands.{COMMANDS[options.command]}")
        given = {name: value for name, value in vars(options).items() if name not in ("command", "version")}
        getattr(module, options.command)(module.Use(**given))

    return _told(options.command, use)


def _told(command: str, work: Callable[[], None]) -> int:
    """The exit code: 2 where the person can mend what went wrong, which is told in one line."""
    from lamella.errors import LamellaError

    try:
        work()
    except (LamellaError, ImportError, OSError) as error:
        print(f"lamella {command}: {error}", file=sys.stderr)
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
    _add_nproc(run)
    run.add_argument("script", metavar="SCRIPT")
    run.add_argument("arguments", nargs=argparse.REMAINDER, metavar="ARGUMENTS", help="handed to the script")

    profile = commands.add_parser(
        "profile",
        help="where the time of a script's trainings goes",
        description="Runs a Keras script, and tells after each fit where the time of some steps went.",
    )
    profile.add_argument("--steps", type=_whole(1), default=50, help="how many steps to look at, 50")
    profile.add_argument("--trace", metavar="FILE", help="a .json file for the whole trace, for Perfetto")
    profile.add_argument("script", metavar="SCRIPT")
    profile.add_argument("arguments", nargs=argparse.REMAINDER, metavar="ARGUMENTS", help="handed to the script")

    _add_train(commands)
    _add_uses(commands)
    return parser


def _add_train(commands: Any) -> None:
    train = commands.add_parser(
        "train",
        help="train a model on a data set, or on your pictures, texts, sounds or tables",
        description="Trains, tests, and writes the model and a report to runs/. What is not given has a "
        "default that fits the task; what does not go with the task is refused. A doctor says what is wrong with the "
        "training, if anything is; `lamella watch` follows it live.",
    )
    above_0 = _number("above 0", lambda value: 0 < value < float("inf"))
    train.add_argument("--task", choices=TASKS, default="classify", help="classify (pictures or rows) by default")
    train.add_argument("--dataset", choices=DATASETS, help="classify: digits by default, which needs no download")
    train.add_argument(
        "--data",
        metavar="PATH",
        help="detect: a folder of pictures with labels in YOLO's, COCO's or VOC's format; text-classify, translate: a "
        "CSV or TSV table; generate: a text; forecast: a CSV table; speech: a folder or table of sounds with texts",
    )
    train.add_argument(
        "--columns", type=_names, metavar="A,B", help="the columns of a table: text,label; source,target; path,text"
    )
    train.add_argument("--model", help="the kind of model; a wrong one is answered with the list")
    train.add_argument("--epochs", type=_whole(1))
    train.add_argument("--minutes", type=above_0, help="how long to train, instead of epochs")
    train.add_argument("--batch-size", type=_whole(1), dest="batch_size")
    train.add_argument("--optimizer", help="classify, detect: any optimizer by name")
    train.add_argument("--learning-rate", type=above_0, dest="learning_rate")
    train.add_argument("--image-size", type=_image_size, dest="image_size", metavar="N|HxW", help="detect: 320")
    train.add_argument("--hidden", type=_sizes, metavar="N,N", help="classify: units of the hidden layers, 128,64")
    train.add_argument("--dropout", type=_number("from 0 to 1", lambda p: 0 <= p <= 1), help="classify: 0.2")
    train.add_argument(
        "--validation-split",
        type=_number("from 0 to below 1", lambda part: 0 <= part < 1),
        dest="validation_split",
        help="the share of the data that is kept aside",
    )
    train.add_argument("--vocabulary", type=_whole(10), help="texts: how many tokens; generate: characters by default")
    train.add_argument("--context", type=_whole(2), help="generate: how many tokens the model sees, 128")
    train.add_argument("--time-column", dest="time_column", help="forecast: the column of the times")
    train.add_argument("--horizon", type=_whole(1), help="forecast: how many rows, 12")
    train.add_argument("--input-length", type=_whole(1), dest="input_length", help="forecast: the rows it sees")
    train.add_argument("--period", type=_whole(1), help="forecast: the rows of a season, 12 for months")
    train.add_argument("--fill", choices=("linear", "forward"), help="forecast: missing rows are filled, not refused")
    train.add_argument("--sample-rate", type=_whole(1000), dest="sample_rate", help="speech: 8000 samples a second")
    train.add_argument("--strict", action="store_true", default=None, help="detect, speech: refuse a broken file")
    _add_nproc(train)
    train.add_argument("--no-doctor", action="store_false", default=None, dest="doctor", help="nobody looks for faults")
    train.add_argument("--seed", type=_whole(0, 2**32 - 1), help="0")
    train.add_argument("--out", help="the folder to write to; a new one in runs/ by default")
    train.add_argument("--verbose", type=int, choices=(0, 1, 2), help="1, a progress bar; 2, a line an epoch")


def _add_nproc(command: Any) -> None:
    told = "how many processes of this machine train together, each on a part of every batch"
    command.add_argument("--nproc", type=_whole(1), default=1, metavar="N", help=told)


def _add_uses(commands: Any) -> None:
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

    classify = commands.add_parser("classify", help="the classes of texts, by a model that was trained on texts")
    classify.add_argument("model", metavar="MODEL", help="a .keras file")
    classify.add_argument("texts", metavar="TEXT", nargs="+")

    generate = commands.add_parser("generate", help="what a language model writes after a prompt")
    generate.add_argument("model", metavar="MODEL", help="a .keras file, or a GPT-2: a folder or a name on the hub")
    generate.add_argument("prompt", metavar="PROMPT")
    generate.add_argument("--tokens", type=_whole(1), default=200, help="how many to write, 200")
    generate.add_argument(
        "--temperature", type=_number("of 0 or more", lambda t: 0 <= t < float("inf")), default=0.8, help="0.8"
    )
    generate.add_argument("--top-k", type=_whole(1), dest="top_k", help="choose among so many tokens")
    generate.add_argument(
        "--top-p",
        type=_number("above 0, to 1", lambda p: 0 < p <= 1),
        default=0.95,
        dest="top_p",
        help="choose among the likeliest tokens that make up this share",
    )
    generate.add_argument("--beams", type=_whole(1), default=1, help="a beam search instead of drawing")
    generate.add_argument("--seed", type=_whole(0, 2**32 - 1))

    translate = commands.add_parser("translate", help="translations of texts")
    translate.add_argument("model", metavar="MODEL", help="a .keras file")
    translate.add_argument("texts", metavar="TEXT", nargs="*")
    translate.add_argument("--file", help="a file with a text a line")
    translate.add_argument("--beams", type=_whole(1), default=4, help="4; 1 is quicker")

    transcribe = commands.add_parser("transcribe", help="what is said in sound files")
    transcribe.add_argument("model", metavar="MODEL", help="a .keras file")
    transcribe.add_argument("sounds", metavar="SOUND", nargs="+", help="files")
    transcribe.add_argument("--beams", type=_whole(1), default=8, help="8; 1 is quicker")

    forecast = commands.add_parser("forecast", help="the rows that come after a table's last one")
    forecast.add_argument("model", metavar="MODEL", help="a .keras file")
    forecast.add_argument("history", metavar="CSV", help="a table with the columns of the training")
    forecast.add_argument("--out", metavar="FILE", help="a CSV file to write to")

    _add_serve(commands)
    _add_report(commands)


def _add_serve(commands: Any) -> None:
    serve = commands.add_parser(
        "serve",
        help="a saved model behind HTTP, with a page to try it",
        description="Answers POST /predict with a model's predictions; http://HOST:PORT/ is a page to try it by hand.",
    )
    above_0 = _number("above 0", lambda value: 0 < value < float("inf"))
    serve.add_argument("model", metavar="MODEL", help="a .keras file")
    serve.add_argument("--host", default="127.0.0.1", help="127.0.0.1, this machine alone; 0.0.0.0 for all networks")
    serve.add_argument("--port", type=_whole(0, 65535), default=8000, help="8000; 0 for any free one")
    serve.add_argument("--classes", type=_names, metavar="A,B", help="the names of the classes; the model's by default")
    serve.add_argument(
        "--pixels",
        type=_pair,
        default=(0.0, 255.0),
        metavar="BLACK,WHITE",
        help="what the model takes for black and white: 0,255 by default; 0,1 if it was trained on pixels / 255",
    )
    serve.add_argument("--max-batch", type=_whole(1), default=32, dest="max_batch", help="32 samples; 1: no batching")
    serve.add_argument(
        "--max-wait-ms",
        type=_number("of 0 or more", lambda value: 0 <= value < 60_000),
        default=2.0,
        dest="max_wait_ms",
        help="how long the first request of a batch waits for others, 2",
    )
    serve.add_argument("--max-queue", type=_whole(1), default=1024, dest="max_queue", help="1024 samples may wait")
    serve.add_argument("--max-samples", type=_whole(1), default=256, dest="max_samples", help="256 in a request")
    serve.add_argument("--max-body-mb", type=above_0, default=8.0, dest="max_body_mb", help="8 MiB a request")
    serve.add_argument("--max-length", type=_whole(1), default=1024, dest="max_length", help="1024 along an open axis")
    serve.add_argument("--timeout", type=above_0, default=10.0, help="10 seconds to an answer")
    serve.add_argument("--threads", type=_whole(1), help="of the CPU for the model; all but one by default")


def _add_report(commands: Any) -> None:
    report = commands.add_parser(
        "report",
        help="one HTML file that shows and explains trainings",
        description="Writes one HTML file of what trainings left in their folders; several are shown side by side.",
    )
    report.add_argument("runs", metavar="RUN", nargs="+", help="a folder that a training wrote to, or one of them")
    report.add_argument("-o", "--output", default="report.html", metavar="FILE", help="report.html")
    report.add_argument("--lang", choices=("en", "zh"), dest="language", help="LAMELLA_LANG or the system's by default")

    watch = commands.add_parser(
        "watch",
        help="follow trainings live, in the browser",
        description="Shows the trainings that write to folders, while they run.",
    )
    watch.add_argument("folders", metavar="DIR", nargs="*", default=["runs"], help="folders of trainings, runs")
    watch.add_argument("--host", default="127.0.0.1", help="127.0.0.1, this machine alone; 0.0.0.0 for all networks")
    watch.add_argument("--port", type=_whole(0, 65535), default=6006, help="6006; 0 for any free one")
    watch.add_argument("--open", action="store_true", help="open the page in the browser")


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


def _pair(text: str) -> tuple[float, float]:
    try:
        low, high = (float(part) for part in text.split(","))
    except ValueError:
        low = high = float("nan")
    if not low != high or not abs(low) + abs(high) < float("inf"):
        raise argparse.ArgumentTypeError(f"must be two different numbers, such as 0,1; got {text!r}")
    return low, high


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(","))


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
