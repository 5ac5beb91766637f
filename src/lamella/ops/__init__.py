"""Functions of tensors under Keras's names (`keras.ops`), each a line or two of torch.

They take tensors, arrays, numbers and lists; on symbolic tensors they are recorded, so functional models
are written with them. A tensor stays on its device, but one of the CPU comes along to an accelerator's beside it;
arrays and lists go where the tensors are, else to the default device.
"""

from lamella.ops import image, linalg, nn, numpy
from lamella.ops.control_flow import (
    associative_scan,
    cond,
    custom_gradient,
    fori_loop,
    map,
    scan,
    switch,
    vectorized_map,
    while_loop,
)
from lamella.ops.core import (
    cast,
    convert_to_numpy,
    convert_to_tensor,
    dtype,
    is_tensor,
    saturate_cast,
    shape,
    stop_gradient,
)
from lamella.ops.exponentials import erf, erfc, erfinv, gammainc, rsqrt
from lamella.ops.indexing import scatter, scatter_update, slice, slice_update, unstack
from lamella.ops.linalg import *
from lamella.ops.linalg import logdet
from lamella.ops.math import (
    extract_sequences,
    fft,
    fft2,
    ifft2,
    irfft,
    istft,
    rfft,
    segment_max,
    segment_min,
    segment_prod,
    segment_sum,
    stft,
    view_as_complex,
    view_as_real,
)
from lamella.ops.nn import *
from lamella.ops.numpy import *
from lamella.ops.products import cdist
from lamella.ops.reductions import logsumexp
from lamella.ops.shapes import rearrange
from lamella.ops.sorting import in_top_k, top_k

__all__ = [
    "associative_scan",
    "cast",
    "cdist",
    "cond",
    "convert_to_numpy",
    "convert_to_tensor",
    "custom_gradient",
    "dtype",
    "erf",
    "erfc",
    "erfinv",
    "extract_sequences",
    "fft",
    "fft2",
    "fori_loop",
    "gammainc",
    "ifft2",
    "image",
    "in_top_k",
    "irfft",
    "is_tensor",
    "istft",
    "linalg",
    "logdet",
    "logsumexp",
    "map",
    "nn",
    "numpy",
    "rearrange",
    "rfft",
    "rsqrt",
    "saturate_cast",
    "scan",
    "scatter",
    "scatter_update",
    "segment_max",
    "segment_min",
    "segment_prod",
    "segment_sum",
    "shape",
    "slice",
    "slice_update",
    "stft",
    "stop_gradient",
    "switch",
    "top_k",
    "unstack",
    "vectorized_map",
    "view_as_complex",
    "view_as_real",
    "while_loop",
    *linalg.__all__,
    *nn.__all__,
    *numpy.__all__,
]
