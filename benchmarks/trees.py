"""How much quicker a batch of trees is level by level than node by node, the same formulas and the same result.

    python benchmarks/trees.py --data FOLDER --trees 256

FOLDER holds the Stanford Sentiment Treebank's train.txt; without it, trees are drawn at random (20 words each). It
counts the processor's time on one thread, so that other programs hardly disturb it.
"""

import argparse
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

import lamella
from lamella.trees import (
    MatrixVectorNetwork,
    RecursiveNetwork,
    RecursiveTensorNetwork,
    Tree,
    TreeBatch,
    TreeLSTM,
    read_trees,
)


def layers(units: int) -> list[tuple[str, Any, int]]:
    """Names, layers and the features of their inputs; the two with more weights are narrower."""
    narrow, few = units // 4, units // 2
    return [
        (f"RecursiveNetwork({units})", RecursiveNetwork(units), units),
        (f"MatrixVectorNetwork({narrow})", MatrixVectorNetwork(narrow), narrow + narrow**2),
        (f"RecursiveTensorNetwork({few})", RecursiveTensorNetwork(few), few),
        (f"TreeLSTM({units}, arity=2)", TreeLSTM(units, arity=2), units),
        (f"TreeLSTM({units})", TreeLSTM(units), units),
    ]


def random_trees(count: int, words: int) -> list[Tree]:
    """Binary trees: two neighbours, drawn at random, become one until there is only one."""
    rng, trees = random.Random(0), []
    for _ in range(count):
        parts: list = ["w"] * words
        while len(parts) > 1:
            i = rng.randrange(len(parts) - 1)
            parts[i : i + 2] = [[parts[i], parts[i + 1]]]
        trees.append(Tree.from_nested(parts[0]))
    return trees


def node_by_node(layer: Any, x: torch.Tensor, mask: torch.Tensor, parents: torch.Tensor) -> torch.Tensor:
    """What the layer gives, one node after the other; the inputs of inner nodes at once, in its favour."""
    children: list[list[int]] = [[] for _ in parents]
    for node, parent in enumerate(parents.tolist()):
        if parent >= 0:
            children[parent].append(node)
    inner = [node for node, own in enumerate(children) if own]
    inputs = layer.inner_inputs(x, mask, torch.tensor(inner))
    rows = dict(zip(inner, [None] * len(inner) if inputs is None else inputs.split(1), strict=True))
    one = torch.zeros(1, dtype=torch.int64)
    states: dict[int, tuple[torch.Tensor, ...]] = {}
    for node in reversed(range(len(parents))):
        if node not in rows:
            states[node] = layer.leaf_states(x[node : node + 1], None)
            continue
        below = [states[child] for child in children[node]]
        if layer.arity is None:
            brought = tuple(
                sum(parts) for parts in zip(*(layer.message(s, one, rows[node]) for s in below), strict=True)
            )
        else:
            brought = tuple(torch.stack(parts, 1) for parts in zip(*below, strict=True))
        states[node] = layer.inner_states(brought, rows[node])
    return torch.cat([states[node][0] for node in range(len(parents))])


def seconds(run: Callable[[], object], repeats: int) -> float:
    times = []
    for _ in range(repeats):
        started = time.process_time()
        run()
        times.append(time.process_time() - started)
    return min(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="the folder of the treebank")
    parser.add_argument("--trees", type=int, default=256)
    parser.add_argument("--units", type=int, default=64)
    options = parser.parse_args()
    torch.set_num_threads(1)
    lamella.utils.set_random_seed(0)
    trees = read_trees(options.data / "train.txt")[: options.trees] if options.data else random_trees(options.trees, 20)
    batch = TreeBatch(trees)
    parents = batch.parents
    mask = torch.tensor([word is not None for word in batch.words])
    print(f"{len(trees)} trees, {len(parents)} nodes, {max(tree.depth for tree in trees)} levels; milliseconds")
    print(f"{'':<28}{'forward':>24}{'':>8}{'and backward':>24}")
    for name, layer, features in layers(options.units):
        x = (0.1 * torch.randn(len(parents), features)).requires_grad_()
        ways = {
            "levels": lambda layer=layer, x=x: layer([x, parents], mask=[mask, None]),
            "nodes": lambda layer=layer, x=x: node_by_node(layer, x, mask, parents),
        }
        found = {way: run() for way, run in ways.items()}
        torch.testing.assert_close(found["levels"], found["nodes"], rtol=1e-4, atol=1e-5)
        line = f"{name:<28}"
        for backward in (False, True):
            took = {}
            for way, run in ways.items():

                def measured(run=run, backward=backward, layer=layer, x=x) -> None:
                    with torch.set_grad_enabled(backward):
                        output = run()
                    if backward:
                        torch.autograd.grad(output.sum(), [x, *layer.trainable_weights], allow_unused=True)

                took[way] = seconds(measured, 5 if way == "levels" else 2)
            line += f"{took['nodes'] * 1e3:>12.1f}{took['levels'] * 1e3:>10.1f}{took['nodes'] / took['levels']:>8.0f} x"
        print(line, flush=True)


if __name__ == "__main__":
    main()
