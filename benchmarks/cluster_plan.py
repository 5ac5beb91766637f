"""A plan, not a measurement: bytes and time of a step on 8 to 1,024 GPUs, by a model that is stated here.

    python benchmarks/cluster_plan.py --weights 1.3e9 --flops-per-sample 8e12 --batch-per-gpu 8

The model. A GPU computes at `--flops` (a share `--utilisation` of its peak). Links carry `--inside` bytes a second
within a machine of `--gpus-per-machine`, and `--between` bytes a second, for each GPU, between machines. A ring
passes 2 (n - 1) / n times the bytes of the gradients (data parallel), or 3 (n - 1) / n times those of the weights
(fully sharded: gathered for the forward and for the backward pass, gradients scattered), at the speed of its slowest
link. That is hidden behind a share `--overlap` of the backward pass. Adam keeps 16 bytes a weight: float32 weights,
gradients, two moments.
"""

import argparse


def step(options: argparse.Namespace, gpus: int) -> tuple[float, float, float, float]:
    """Seconds of a step, data parallel and fully sharded; bytes a GPU for weights and optimizer, likewise."""
    compute = options.batch_per_gpu * options.flops_per_sample / (options.flops * options.utilisation)
    link = options.inside if gpus <= options.gpus_per_machine else min(options.inside, options.between)
    ring = (gpus - 1) / gpus * options.weights * options.bytes_per_weight / link
    backward = 2 / 3 * compute
    times = [compute + max(times_around * ring - options.overlap * backward, 0.0) for times_around in (2, 3)]
    kept = 16.0 * options.weights
    return times[0], times[1], kept, kept / gpus


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", type=float, default=1.3e9)
    parser.add_argument("--flops-per-sample", type=float, default=6 * 1.3e9 * 1024, help="forward and backward")
    parser.add_argument("--batch-per-gpu", type=float, default=8)
    parser.add_argument("--bytes-per-weight", type=float, default=2, help="of what is sent")
    parser.add_argument("--flops", type=float, default=989e12, help="peak; an H100 in bfloat16")
    parser.add_argument("--utilisation", type=float, default=0.4)
    parser.add_argument("--gpus-per-machine", type=int, default=8)
    parser.add_argument("--inside", type=float, default=450e9, help="bytes a second; NVLink of an H100, one way")
    parser.add_argument("--between", type=float, default=50e9, help="bytes a second a GPU; InfiniBand at 400 Gbit/s")
    parser.add_argument("--overlap", type=float, default=0.8)
    options = parser.parse_args()
    print(
        "| GPUs | data parallel: ms a step | efficiency | GB a GPU | fully sharded: ms a step | efficiency | GB a GPU |"
    )
    print("|---|---|---|---|---|---|---|")
    alone = step(options, 1)[0]
    for gpus in (8, 16, 32, 64, 128, 256, 512, 1024):
        parallel, sharded, kept, part = step(options, gpus)
        cells = [
            f"{seconds * 1e3:.0f} | {alone / seconds:.2f} | {held / 1e9:.1f}"
            for seconds, held in ((parallel, kept), (sharded, part))
        ]
        print(f"| {gpus:,} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
