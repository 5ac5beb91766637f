"""Training in several processes, on one machine or many.

The script stays as it is but for one line, and runs under `torchrun`, `lamella run --nproc N` or Ray Train:

    lamella.distribution.set_distribution(lamella.distribution.DataParallel())
"""

from lamella.engine.cluster import (
    DataParallel,
    Distribution,
    FullyShardedDataParallel,
    get_distribution,
    set_distribution,
)

distribution = get_distribution

__all__ = [
    "DataParallel",
    "Distribution",
    "FullyShardedDataParallel",
    "distribution",
    "get_distribution",
    "set_distribution",
]
