"""What dynamic batching brings: a server under load, with batches and one by one. Needs wrk (Debian: apt install wrk).

    python benchmarks/serving.py                              # all models, 10 s each
    python benchmarks/serving.py --models lstm --seconds 60   # the run in RESULTS

The server is `lamella serve` in a process of its own; wrk, on the same machine, keeps 64 connections busy with requests
of one sample each. The two take turns: batches, one by one, batches, ... A table says what came back.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

import numpy as np

import lamella
from lamella import layers

LUA = """
local bodies = {}
for line in io.lines("%s") do bodies[#bodies + 1] = line end
local turn = 0
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
request = function()
  turn = turn %% #bodies + 1
  return wrk.format(nil, nil, nil, bodies[turn])
end
local threads = {}
setup = function(thread) threads[#threads + 1] = thread end
done = function(summary, latency, requests)
  io.write(string.format(
    '\\nRESULT {"requests": %%d, "seconds": %%f, "status": %%d, "socket": %%d, "p50": %%f, "p99": %%f}\\n',
    summary.requests, summary.duration / 1e6, summary.errors.status, summary.errors.connect + summary.errors.read +
    summary.errors.write + summary.errors.timeout, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3))
end
"""
WORDS = "a good bad film book very slow fast long short plot actor scene music ending the was and not".split()


def mlp():
    """MNIST's size: 784-128-10."""
    stack = [layers.Flatten(), layers.Dense(128, "relu"), layers.Dense(10, "softmax")]
    return lamella.Sequential([lamella.Input((28, 28)), *stack]), _pictures()


def cnn():
    """MNIST's size: 32 and 64 filters of 3 x 3, each with pooling."""
    stack = [layers.Reshape((28, 28, 1))]
    for filters in (32, 64):
        stack += [layers.Conv2D(filters, 3, activation="relu"), layers.MaxPooling2D()]
    return lamella.Sequential(
        [lamella.Input((28, 28)), *stack, layers.Flatten(), layers.Dense(10, "softmax")]
    ), _pictures()


def lstm():
    """An LSTM of 256 units over 100 steps of 8 numbers, such as measurements in time."""
    rng = np.random.default_rng(0)
    stack = [layers.LSTM(256), layers.Dense(5, "softmax")]
    return lamella.Sequential([lamella.Input((100, 8)), *stack]), [
        rng.normal(size=(100, 8)).round(2).tolist() for _ in range(50)
    ]


def text():
    """Texts of 20 to 60 words by a Transformer of `lamella.language.TextClassifier`."""
    from lamella.language import TextClassifier, Tokenizer

    rng = np.random.default_rng(0)
    texts = [" ".join(rng.choice(WORDS, rng.integers(20, 60))) for _ in range(50)]
    model = TextClassifier(["bad", "good"], Tokenizer.train(texts, kind="word"), "transformer")
    model.predict(texts[:1])
    return model, texts


MODELS = {"mlp": mlp, "cnn": cnn, "lstm": lstm, "text": text}


def _pictures():
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (28, 28)).tolist() for _ in range(50)]


def measure(model, script, max_batch, options):
    """One server under load; what wrk and the server's own metrics say."""
    command = [sys.executable, "-m", "lamella", "serve", str(model), "--port", "0", "--max-batch", str(max_batch)]
    if options.threads:
        command += ["--threads", str(options.threads)]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        url = re.search(r"http://\S+", server.stdout.readline())[0]
        load = ["wrk", "-t1", f"-c{options.connections}", "-s", str(script), "--timeout", "20s", f"{url}/predict"]
        subprocess.run([*load, "-d1s"], check=True, capture_output=True)
        before = _sums(url), _cpu_seconds(server.pid)
        told = subprocess.run([*load, f"-d{options.seconds}s"], check=True, capture_output=True, text=True).stdout
        found = json.loads(re.search(r"RESULT (.*)", told)[1])
        after = _sums(url), _cpu_seconds(server.pid)
        samples, batches = (after[0][i] - before[0][i] for i in range(2))
        return found | {"batch": samples / batches, "cpu_ms": 1000 * (after[1] - before[1]) / found["requests"]}
    finally:
        server.terminate()
        server.wait(30)


def _sums(url):
    text = urllib.request.urlopen(f"{url}/metrics").read().decode()
    return [
        float(re.search(rf"^lamella_batch_samples_{each} (\S+)", text, re.MULTILINE)[1]) for each in ("sum", "count")
    ]


def _cpu_seconds(pid):
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", default=",".join(MODELS))
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--max-batch", type=int, default=64, dest="max_batch")
    parser.add_argument("--threads", type=int)
    options = parser.parse_args()
    if shutil.which("wrk") is None:
        sys.exit("wrk is not there: apt install wrk")
    print(
        f"{options.connections} connections, {options.seconds} s, one sample a request, "
        f"{time.strftime('%Y-%m-%d %H:%M')}\n"
    )
    print("| model | most in a batch | requests/s | p50 ms | p99 ms | mean batch | CPU ms a request | errors |")
    print("|---|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for name in options.models.split(","):
            lamella.utils.set_random_seed(0)
            model, samples = MODELS[name]()
            path, bodies, script = (Path(folder) / f"{name}.{end}" for end in ("keras", "jsonl", "lua"))
            model.save(path)
            bodies.write_text("".join(json.dumps({"inputs": [each]}) + "\n" for each in samples))
            script.write_text(LUA % bodies)
            for _ in range(options.rounds):
                rates = []
                for max_batch in (options.max_batch, 1):
                    found = measure(path, script, max_batch, options)
                    rates.append(found["requests"] / found["seconds"])
                    print(
                        f"| {name} | {max_batch} | {rates[-1]:.0f} | {found['p50']:.1f} | {found['p99']:.1f} | "
                        f"{found['batch']:.1f} | {found['cpu_ms']:.3f} | {found['status'] + found['socket']} |",
                        flush=True,
                    )
                print(f"\n{name}: {rates[0] / rates[1]:.1f} times the throughput of one by one\n", flush=True)


if __name__ == "__main__":
    main()
