"""Arrays of every kind as tensors, and the checks that they can be trained on."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from lamella.engine.dtypes import WIDER
from lamella.engine.strings import as_strings
from lamella.errors import DataError

Structure = Any


def is_array(x: Any) -> bool:
    """Whether `x` is an array, a tensor, a data frame, or a (nested) list of numbers."""
    if isinstance(x, (np.ndarray, np.generic, torch.Tensor)) or _is_pandas(x):
        return True
    return is_number_list(x) or hasattr(x, "__array__")


def _is_pandas(x: Any) -> bool:
    return hasattr(x, "iloc") and hasattr(x, "to_numpy")


def is_number_list(x: Any) -> bool:
    """Whether `x` is a (nested) list of numbers rather than a list of arrays."""
    while type(x) in (list, tuple) and len(x):
        x = x[0]
        if isinstance(x, (bool, int, float, str, np.number)):
            return True
    return False


def map_arrays(function: Callable[[Any], Any], structure: Structure) -> Structure:
    """Applies a function to every array in nested lists, tuples and dicts."""
    if structure is None or is_array(structure):
        return None if structure is None else function(structure)
    if isinstance(structure, dict):
        return {key: map_arrays(function, value) for key, value in structure.items()}
    if isinstance(structure, (list, tuple)):
        mapped = [map_arrays(function, value) for value in structure]
        return type(structure)(*mapped) if hasattr(structure, "_fields") else type(structure)(mapped)
    return function(structure)


def flat(structure: Structure) -> list[Any]:
    """The arrays in nested lists, tuples and dicts."""
    if structure is None:
        return []
    if isinstance(structure, dict):
        return [leaf for value in structure.values() for leaf in flat(value)]
    if isinstance(structure, (list, tuple)) and not is_array(structure):
        return [leaf for value in structure for leaf in flat(value)]
    return [structure]


def as_tensor(x: Any, name: str, device: torch.device, dtype: torch.dtype) -> torch.Tensor:
    """`x` as a tensor on `device`: floats as `dtype`, whole numbers and booleans as they are, if torch computes so.

    A pandas Series becomes a column (n, 1), as in Keras. Memory is shared where type and device already fit.

    Raises:
        DataError: Objects, strings, ragged lists or a single number.
    """
    if isinstance(x, torch.Tensor):
        tensor = x.detach()
    else:
        tensor = torch.from_numpy(writable(_numpy(x, name)))
    if tensor.ndim == 0:
        raise DataError(f"{name} is a single number; training data need one entry for each sample.")
    kind = dtype if tensor.is_floating_point() else WIDER.get(tensor.dtype, tensor.dtype)
    return tensor.to(device=device, dtype=kind, non_blocking=device.type == "cuda")


def as_input(x: Any, name: str, device: torch.device, dtype: torch.dtype) -> torch.Tensor | np.ndarray:
    """As `as_tensor`; strings as an array, for the layers that take them (a column (n, 1) of a pandas Series)."""
    strings = None if isinstance(x, torch.Tensor) else as_strings(x, name)
    if strings is None:
        return as_tensor(x, name, device, dtype)
    if strings.ndim == 0:
        raise DataError(f"{name} has a single string ({str(strings)!r}); data need one entry for each sample.")
    return strings[:, None] if _is_pandas(x) and strings.ndim == 1 else strings


def part(array: torch.Tensor | np.ndarray, where: slice | torch.Tensor) -> torch.Tensor | np.ndarray:
    """These rows of an array."""
    if isinstance(array, np.ndarray):
        return array[where.cpu().numpy() if isinstance(where, torch.Tensor) else where]
    return array[where]


def is_mapped(x: Any) -> bool:
    """Whether `x` is a `numpy.memmap` that a tensor can share, and take rows from: it stays on the disk."""
    if not (isinstance(x, np.memmap) and x.dtype.isnative and x.ndim > 0 and min(x.strides) >= 0):
        return False
    return x.dtype.kind in "bif" or x.dtype == np.uint8


def shared(x: np.memmap[Any, Any]) -> torch.Tensor:
    """The file's numbers as a tensor of their own type, which must not be written to."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return torch.from_numpy(x)


def placed(tensor: Any, device: torch.device, dtype: torch.dtype) -> Any:
    """A batch on `device`, floats as `dtype`; strings stay where they are."""
    if isinstance(tensor, np.ndarray):
        return tensor
    return tensor.to(device=device, dtype=dtype if tensor.is_floating_point() else tensor.dtype)


def _numpy(x: Any, name: str) -> np.ndarray:
    try:
        array = x.to_numpy() if _is_pandas(x) else np.asarray(x)
        if _is_pandas(x) and array.ndim == 1:
            array = array[:, None]
    except ValueError as error:
        raise DataError(
            f"{name} is a ragged list: its rows have different lengths ({error}). Pad them to one length."
        ) from error
    if array.dtype == object:
        try:  # a data frame of several numeric types comes as objects
            array = array.astype("float32")
        except (TypeError, ValueError) as error:
            raise DataError(
                f"{name} holds Python objects that are not numbers ({error}). Encode them as numbers first, for "
                f"instance with pandas.get_dummies, or drop the columns."
            ) from error
    if array.dtype.kind not in "biufc":
        raise DataError(f"{name} holds {array.dtype} values; training needs numbers. Encode them first.")
    return array.astype("float64") if array.dtype == np.longdouble else array


def writable(array: np.ndarray) -> np.ndarray:
    """The array, or a copy where torch cannot share its memory: read-only, backwards, in another byte order."""
    if array.dtype.byteorder not in ("=", "|"):
        array = array.astype(array.dtype.newbyteorder("="))
    if any(stride < 0 for stride in array.strides) or not array.flags.writeable:
        array = array.copy()
    return array


def check_lengths(parts: dict[str, Structure]) -> int:
    """The number of samples.

    Raises:
        DataError: No samples, or arrays of different lengths.
    """
    lengths = {name: [_length(name, leaf) for leaf in flat(part)] for name, part in parts.items() if part is not None}
    found = sorted({length for each in lengths.values() for length in each})
    if len(found) > 1:
        said = ", ".join(
            f"{name} has {' and '.join(map(str, sorted(set(each))))} samples" for name, each in lengths.items()
        )
        raise DataError(f"All data must have the same number of samples: {said}. Check how they were cut or split.")
    if not found or found[0] == 0:
        raise DataError("The data are empty: there are no samples.")
    return found[0]


def _length(name: str, leaf: Any) -> int:
    if getattr(leaf, "ndim", 1) == 0:
        raise DataError(f"{name} is a single number; training data need one entry for each sample.")
    return len(leaf)


def check_data(parts: dict[str, Structure]) -> int:
    """The number of samples; raises DataError where lengths differ, or where there is NaN or infinity."""
    samples = check_lengths(parts)
    for name, part in parts.items():
        for leaf in flat(part):
            check_finite(name, leaf)
    return samples


def check_finite(name: str, tensor: torch.Tensor | np.ndarray) -> None:
    """Raises DataError where a float tensor has NaN or infinity, with the first place and the number.

    One pass over the data: a sum is finite only if all its terms are (and an overflow is looked at again).
    """
    if isinstance(tensor, np.ndarray) or not tensor.is_floating_point() or bool(torch.isfinite(tensor.sum())):
        return
    bad = ~torch.isfinite(tensor)
    count = int(bad.sum())
    if not count:
        return
    place = bad.nonzero()[0].tolist()
    what = "NaN" if bool(torch.isnan(tensor[tuple(place)])) else "infinite"
    where = f"sample {place[0]}" + (
        f", feature {place[1] if len(place) == 2 else tuple(place[1:])}" if len(place) > 1 else ""
    )
    raise DataError(
        f"{name} has {count} values that are NaN or infinite, the first ({what}) at {where}. "
        f"Clean or impute them before training, for instance with numpy.nan_to_num or sklearn.impute.SimpleImputer."
    )
