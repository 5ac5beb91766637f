"""Measures Lamella beside its peers: ``python benchmarks/run.py --help``."""

import argparse
import shlex
import sys
from contextlib import ExitStack
from pathlib import Path

import script
import tables
from peers import DEFAULT_PEERS, DEFAULT_PEERS_ON_CUDA, PACKAGES, PEERS, on
from race import race
from tables import ROWS


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Times Lamella, torch and Keras side by side, in turns.")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="cuda: the rows mlp, cnn and gpt")
    parser.add_argument("--rows", type=names(ROWS), help=f"of {', '.join(ROWS)}; all by default")
    parser.add_argument("--peers", type=names(PEERS), help=f"of {', '.join(PEERS)}")
    parser.add_argument("--rounds", type=int, help="chunks per peer (default 7; the script: 3)")
    parser.add_argument("--final", type=int, default=0, help="further rounds between those who are close")
    parser.add_argument("--quick", action="store_true", help="two rounds of short chunks: no result")
    parser.add_argument("--write", action="store_true", help="put the tables into RESULTS.md")
    parser.add_argument(
        "--venv",
        type=venv,
        action="append",
        default=[],
        metavar="NAME=PATH",
        help=f"use this virtual environment, for one of {', '.join(PACKAGES)}",
    )
    parser.add_argument("--log", type=Path, help="write what the workers print here")
    options = parser.parse_args()
    on_cuda = options.device == "cuda"
    options.rows = options.rows or (["mlp", "cnn", "gpt"] if on_cuda else list(ROWS))
    options.peers = options.peers or (DEFAULT_PEERS_ON_CUDA if on_cuda else DEFAULT_PEERS)
    if on_cuda and "script" in options.rows:
        parser.error("the row 'script' is measured on the CPU only")
    return options


def names(known):
    def split(text: str) -> list[str]:
        chosen = text.split(",")
        if unknown := [name for name in chosen if name not in known]:
            raise argparse.ArgumentTypeError(f"unknown: {', '.join(unknown)}; known: {', '.join(known)}")
        return chosen

    return split


def venv(text: str) -> tuple[str, Path]:
    name, _, path = text.partition("=")
    if name not in PACKAGES or not path:
        raise argparse.ArgumentTypeError(f"expected NAME=PATH, NAME of {', '.join(PACKAGES)}: {text!r}")
    return name, Path(path).absolute()


def main() -> None:
    options = parse()
    measured_on = tables.machine(options.device)
    peers, venvs = [on(options.device, PEERS[name]) for name in options.peers], dict(options.venv)
    command = "python benchmarks/run.py " + shlex.join(without_venvs(sys.argv[1:]))
    with ExitStack() as stack:
        log = stack.enter_context((options.log or Path("/dev/null")).open("w"))
        for row in options.rows:
            if row == "script":
                rounds = options.rounds or (1 if options.quick else 3)
                result = script.race(peers, venvs, rounds, options.final, log)
            else:
                rounds = options.rounds or (2 if options.quick else 7)
                result = race(row, peers, venvs, rounds, options.final, options.quick, log)
            print(tables.row_table(result, "s" if row == "script" else "ms/step") + "\n", flush=True)
            if options.write:  # after each row, so that a later failure loses nothing
                tables.write({row: tables.stamp(result, command.strip(), measured_on)}, options.device)


def without_venvs(arguments: list[str]) -> list[str]:
    """The command as another person would give it: without the paths of this machine."""
    kept, skip = [], False
    for argument in arguments:
        if not skip and not argument.startswith(("--venv", "--log")):
            kept.append(argument)
        skip = argument in ("--venv", "--log")
    return kept


if __name__ == "__main__":
    main()
