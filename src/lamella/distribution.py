"""Training in several processes, on one machine or many.

The script stays as it is but for one line, and runs under `torchrun`, `lamella run --nproc N` or Ray Train:

    lamella.distribution.set_distribution(lamella.distribution.DataParallel())
"""

from typing import TYPE_CHECKING, Any

from lamella.engine.cluster import (
    DataParallel,
    Distribution,
    FullyShardedDataParallel,
    get_distribution,
    set_distribution,
)
from lamella.engine.mesh import (
    DeviceMesh,
    LayoutMap,
    TensorLayout,
    distribute_tensor,
    get_device_count,
    initialize,
    list_devices,
)

if TYPE_CHECKING:
    from lamella.engine.model_parallel import ModelParallel

distribution = get_distribution

__all__ = [
    "DataParallel",
    "DeviceMesh",
    "Distribution",
    "FullyShardedDataParallel",
    "LayoutMap",
    "ModelParallel",
    "TensorLayout",
    "distribute_tensor",
    "distribution",
    "get_device_count",
    "get_distribution",
    "initialize",
    "list_devices",
    "set_distribution",
]


def __getattr__(name: str) -> Any:
    if name != "ModelParallel":  # it brings torch's DTensor, which takes a second to load
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from lamella.engine.model_parallel import ModelParallel

    return ModelParallel
