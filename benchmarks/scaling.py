"""Samples a second of 1, 2, ... processes with a thread each on this machine: the CNN row, batches of 128 in all.

python benchmarks/scaling.py --processes 1 2
"""

import argparse
import os
import socket
import statistics
import subprocess
import sys
import time


def work(steps: int, kind: str) -> None:
    """Trains, in each of the processes; the first one prints the samples a second, the median of five turns."""
    import torch
    from rows import cnn

    import lamella

    torch.set_num_threads(1)
    if int(os.environ["WORLD_SIZE"]) > 1:
        kinds = {"ddp": lamella.distribution.DataParallel, "fsdp": lamella.distribution.FullyShardedDataParallel}
        lamella.distribution.set_distribution(kinds[kind]())
    lamella.utils.set_random_seed(0)
    model = cnn.keras_model(lamella)
    x, y = cnn.data(cnn.BATCH * steps)
    rates = []
    for _ in range(6):
        begun = time.perf_counter()
        model.fit(x, y, batch_size=cnn.BATCH, verbose=0)
        rates.append(len(x) / (time.perf_counter() - begun))
    if os.environ["RANK"] == "0":
        print(f"{statistics.median(rates[1:]):.0f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--kind", choices=("ddp", "fsdp"), default="ddp")
    options = parser.parse_args()
    if "RANK" in os.environ:
        work(options.steps, options.kind)
        return
    alone = 0.0
    for count in options.processes:
        with socket.socket() as found:
            found.bind(("127.0.0.1", 0))
            port = found.getsockname()[1]
        common = {"WORLD_SIZE": count, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "OMP_NUM_THREADS": 1}
        command = [sys.executable, __file__, "--steps", str(options.steps), "--kind", options.kind]
        started = []
        for rank in range(count):
            environment = {**common, "RANK": rank, "LOCAL_RANK": rank}
            own = os.environ | {name: str(value) for name, value in environment.items()}
            started.append(subprocess.Popen(command, env=own, stdout=subprocess.PIPE, text=True))
        told = [process.communicate()[0] for process in started]
        rate = float(told[0])
        alone = alone or rate
        print(f"{count} process(es): {rate:,.0f} samples a second, efficiency {rate / alone / count:.2f}", flush=True)


if __name__ == "__main__":
    main()
