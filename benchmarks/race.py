"""Times the peers of one row in turns: A B C, B A C, ..., so that whatever slows the machine slows them all."""

import importlib
import json
import random
import subprocess
import sys
from pathlib import Path
from statistics import median

from peers import HERE, Peer, PeerUnavailable, environment_variables, find_python


class Worker:
    """The parent's end of ``worker.py``."""

    def __init__(self, peer: Peer, python: Path, row: str, steps: int, log):
        command = [str(python), str(HERE / "worker.py"), row, peer.engine, str(steps), peer.device]
        self.process = subprocess.Popen(
            command,
            cwd=HERE,
            env=environment_variables(peer),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
        self.ready = self._read()
        if "unavailable" in self.ready:
            self.end()
            raise PeerUnavailable(self.ready["unavailable"])

    def time_chunk(self) -> dict:
        self.process.stdin.write("go\n")
        self.process.stdin.flush()
        return self._read()

    def end(self) -> None:
        self.process.stdin.close()
        self.process.wait()

    def _read(self) -> dict:
        line = self.process.stdout.readline()
        if not line:
            return {"unavailable": f"failed: the worker ended with {self.process.wait()}"}
        return json.loads(line)


CLOSE = 1.25
"""Who takes at most so many times as long as the quickest is in the final."""


def race(row: str, peers: list[Peer], venvs: dict[str, Path], rounds: int, final: int, quick: bool, log) -> dict:
    """Milliseconds per step of every round, by peer, with what else the workers said."""
    module = importlib.import_module(f"rows.{row}")
    steps = max(module.STEPS, 200) if peers[0].device == "cuda" else module.STEPS  # a graph is captured in each fit
    steps = max(2, steps // 4) if quick else steps
    result = {"title": module.TITLE, "steps": steps, "peers": {}, "missing": {}}
    workers = start_workers(row, peers, venvs, steps, result, log)
    try:
        for number in range(rounds + final):
            print(f"\r{row}: round {number + 1} of {rounds + final}", end="", file=sys.stderr, flush=True)
            for name in shuffled(list(workers) if number < rounds else finalists(result, rounds), number):
                answer = workers[name].time_chunk()
                if "unavailable" in answer:  # it died while training
                    result["missing"][name] = answer["unavailable"]
                    del workers[name], result["peers"][name]
                    continue
                entry = result["peers"][name]
                entry["times"].append(answer["milliseconds"])
                entry["loss"], entry["accuracy"] = answer["loss"], answer["accuracy"]
    finally:
        print(file=sys.stderr)
        for worker in workers.values():
            worker.end()
    warn_of_unequal_models(result)
    return result


def finalists(result: dict, rounds: int) -> list[str]:
    """The peers between whom the first rounds leave the race open: they run on. Nobody where nobody is close."""
    medians = {name: median(entry["times"][:rounds]) for name, entry in result["peers"].items()}
    close = [name for name, value in medians.items() if value <= CLOSE * min(medians.values())]
    return close if len(close) > 1 else []


def shuffled(names: list[str], number: int) -> list[str]:
    """The order of a round. Each has another, so that nobody always comes after the same one: threads of some go on for
    a while when their chunk has ended, and memory lies as they left it."""
    return random.Random(number).sample(names, len(names))


def start_workers(row: str, peers: list[Peer], venvs: dict, steps: int, result: dict, log) -> dict[str, Worker]:
    workers = {}
    for peer in peers:
        print(f"\r{row}: preparing {peer.name:20}", end="", file=sys.stderr, flush=True)
        try:
            worker = Worker(peer, find_python(peer.environment, venvs), row, steps, log)
        except PeerUnavailable as reason:
            result["missing"][peer.name] = str(reason)
            continue
        workers[peer.name] = worker
        result["peers"][peer.name] = {**worker.ready, "times": []}
    return workers


def warn_of_unequal_models(result: dict) -> None:
    """All peers must train the same model. (torch's LSTM has a second bias, hence the 1 %.)"""
    counts = {name: entry["parameters"] for name, entry in result["peers"].items()}
    if counts and max(counts.values()) > 1.01 * min(counts.values()):
        print(f"warning: the models differ in size: {counts}", file=sys.stderr)
