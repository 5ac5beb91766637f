"""`clear_session`: the process as it was before the first model."""

from __future__ import annotations

import gc
import sys

from lamella.dtype_policies import set_dtype_policy
from lamella.engine import naming


def clear_session(free_memory: bool = True) -> None:
    """Forgets what models before have left behind, so that a search over many of them does not grow.

    Default names begin anew (the next `Dense` is `dense`), new layers have the policy of `floatx()`, and what
    `jit_compile` compiled is let go; it is compiled again where it is used again.

    Args:
        free_memory: Whether to look at once for models that nothing refers to any more.

    Example:
        >>> import lamella
        >>> clear_session()
        >>> lamella.layers.Dense(1).name, lamella.layers.Dense(1).name
        ('dense', 'dense_1')
    """
    naming.begin_anew()
    set_dtype_policy(None)
    if "torch._dynamo" in sys.modules:  # importing it takes a second
        sys.modules["torch._dynamo"].reset()
    if free_memory:
        gc.collect()
