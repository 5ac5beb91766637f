"""Work in several processes that find each other as those of torchrun do."""

import faulthandler
import gc
import multiprocessing
import os
import socket
import sys

import pytest
import torch
import torch._dynamo  # what torch's parts of tensors load takes a second: here once, not in each process

needed = pytest.mark.skipif(
    "fork" not in multiprocessing.get_all_start_methods() or not torch.distributed.is_gloo_available(),
    reason="needs os.fork and gloo",
)


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def start(count, work, *arguments):
    """Processes that do the work, with the environment that torchrun gives."""
    port, processes = free_port(), []
    for rank in range(count):
        address = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": count, "MASTER_PORT": port}

        def begin(address=address):
            faulthandler.dump_traceback_later(100, file=sys.__stderr__)  # `ended` waits for 120: say where it hangs
            gc.freeze()  # what other tests left may have threads, which stayed behind: it would wait for them
            os.environ |= {name: str(value) for name, value in address.items()} | {"MASTER_ADDR": "127.0.0.1"}
            torch.set_num_threads(1)
            work(*arguments)

        processes.append(multiprocessing.get_context("fork").Process(target=begin))
        processes[-1].start()
    return processes


def ended(processes):
    """Their exit codes."""
    for process in processes:
        process.join(120)
    return [process.exitcode for process in processes]


def run(count, work, *arguments):
    """The work in so many processes; their exit codes."""
    return ended(start(count, work, *arguments))
