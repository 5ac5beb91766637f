"""Questions about symbolic tensors and data types."""

from __future__ import annotations

from typing import Any

from lamella.engine.dtypes import dtype_name
from lamella.engine.symbolic import SymbolicTensor, is_symbolic


def is_keras_tensor(x: Any) -> bool:
    """Whether `x` is a symbolic tensor, as `Input` gives.

    Example:
        >>> import lamella
        >>> is_keras_tensor(lamella.Input((2,))), is_keras_tensor(1.0)
        (True, False)
    """
    return is_symbolic(x)


def get_source_inputs(tensor: SymbolicTensor) -> list[SymbolicTensor]:
    """The inputs that a symbolic tensor is computed from, in the order in which they are met.

    Example:
        >>> import lamella
        >>> a, b = lamella.Input((2,)), lamella.Input((2,))
        >>> get_source_inputs((a + b) * 2) == [a, b]
        True
    """
    found: dict[int, SymbolicTensor] = {}
    seen: set[int] = set()
    stack = [tensor]
    while stack:
        here = stack.pop()
        if id(here) in seen:
            continue
        seen.add(id(here))
        if here.node is None or not here.node.inputs:
            found[id(here)] = here
        else:
            stack.extend(reversed(here.node.inputs))
    return list(found.values())


def standardize_dtype(dtype: Any) -> str:
    """The name of a data type given as a name, a torch, NumPy or Python type, or None (the default).

    Example:
        >>> import torch
        >>> standardize_dtype(torch.float16), standardize_dtype(None), standardize_dtype(int)
        ('float16', 'float32', 'int64')
    """
    return dtype_name(dtype)
