"""Measures Lamella beside its peers: ``python benchmarks/run.py --help``."""

import argparse
import shlex
import sys
from contextlib import ExitStack
from pathlib import Path

import script
import tables
from peers import DEFAULT_PEERS, PACKAGES, PEERS
from race import race
from tables import ROWS


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Times Lamella, torch and Keras side by side, in turns.")
    parser.add_argument("--rows", type=names(ROWS), default=list(ROWS), help=f"of {', '.join(ROWS)}")
    parser.add_argument("--peers", type=names(PEERS), default=DEFAULT_PEERS, help=f"of {', '.join(PEERS)}")
    parser.add_argument("--rounds", type=int, help="chunks per peer (default 7; the script: 3)")
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
    return parser.parse_args()


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
    measured_on = tables.machine()
    peers, venvs = [PEERS[name] for name in options.peers], dict(options.venv)
    command = "python benchmarks/run.py " + shlex.join(without_venvs(sys.argv[1:]))
    with ExitStack() as stack:
        log = stack.enter_context((options.log or Path("/dev/null")).open("w"))
        for row in options.rows:
            if row == "script":
                rounds = options.rounds or (1 if options.quick else 3)
                result = script.race(peers, venvs, rounds, log)
            else:
                rounds = options.rounds or (2 if options.quick else 7)
                result = race(row, peers, venvs, rounds, options.quick, log)
            print(tables.row_table(result, "s" if row == "script" else "ms/step") + "\n", flush=True)
            if options.write:  # after each row, so that a later failure loses nothing
                tables.write({row: tables.stamp(result, command.strip(), measured_on)})


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
