"""The functions of tensors that `tf.keras.backend` has, for scripts of earlier days: `K.mean(K.square(y - p))`.

Newer code takes `lamella.ops`, or torch.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from lamella import ops, random
from lamella.engine.dtypes import dtype_name, floatx, torch_dtype
from lamella.engine.variable import Weight


def in_order(function: Callable[..., Any], *names: str) -> Callable[..., Any]:
    """The function, whose first arguments may be given by these names.

    Example:
        >>> in_order(divmod, "x", "y")(x=7, y=2)
        (3, 1)
    """

    @functools.wraps(function)
    def named(*args: Any, **kwargs: Any) -> Any:
        for name in names[len(args) :] if kwargs else ():
            if name not in kwargs:
                break
            args = (*args, kwargs.pop(name))
        return function(*args, **kwargs)

    return named


_OTHERS = frozenset(globals())
_SAME = {
    "x": "abs all any cast cos elu exp log max mean min ones_like prod round sigmoid sign sin softplus softsign sqrt "
    "square squeeze std sum tanh transpose var zeros_like",
    "x y": "equal greater greater_equal less less_equal maximum minimum not_equal",
    "x min_value max_value": "clip",
    "x shape": "reshape",
    "x n": "tile",
    "": "arange eye ones stop_gradient zeros",
}
for _arguments, _names in _SAME.items():
    for _name in _names.split():
        globals()[_name] = in_order(getattr(ops, _name), *_arguments.split())

pow = in_order(ops.power, "x", "a")
permute_dimensions = in_order(ops.transpose, "x", "pattern")


def argmax(x: Any, axis: int = -1) -> Any:
    """The place of the largest along an axis."""
    return ops.cast(ops.argmax(x, axis=axis), "int64")


def argmin(x: Any, axis: int = -1) -> Any:
    """The place of the smallest along an axis."""
    return ops.cast(ops.argmin(x, axis=axis), "int64")


def concatenate(tensors: Any, axis: int = -1) -> Any:
    """Tensors one after the other along an axis, the last by default."""
    return ops.concatenate(tensors, axis=axis)


def stack(x: Any, axis: int = 0) -> Any:
    """Tensors along a new axis."""
    return ops.stack(x, axis=axis)


def cumsum(x: Any, axis: int = 0) -> Any:
    """The sums of the numbers so far along an axis."""
    return ops.cumsum(x, axis=axis)


def cumprod(x: Any, axis: int = 0) -> Any:
    """The products of the numbers so far along an axis."""
    return ops.cumprod(x, axis=axis)


def softmax(x: Any, axis: int = -1) -> Any:
    """Positive numbers that sum to 1 along an axis."""
    return ops.softmax(x, axis=axis)


def relu(x: Any, alpha: float = 0.0, max_value: float | None = None, threshold: float = 0.0) -> Any:
    """x above the threshold (at most `max_value`), else `alpha * (x - threshold)`."""
    x = ops.convert_to_tensor(x)
    above = x if max_value is None else ops.minimum(x, max_value)
    return ops.where(x >= threshold, above, alpha * (x - threshold))


def hard_sigmoid(x: Any) -> Any:
    """0.2 x + 0.5, between 0 and 1."""
    return ops.clip(0.2 * ops.convert_to_tensor(x) + 0.5, 0.0, 1.0)


def dot(x: Any, y: Any) -> Any:
    """The product over the last axis of x and the last but one of y."""
    return ops.dot(x, y)


def batch_dot(x: Any, y: Any, axes: Any = None) -> Any:
    """The products of each sample of x and y over one axis of each: by default the last and the last but one."""
    x, y = ops.convert_to_tensor(x), ops.convert_to_tensor(y)
    pair = (axes, axes) if isinstance(axes, int) else axes or (x.ndim - 1, 1 if y.ndim == 2 else y.ndim - 2)
    of_x = ["b", *(chr(ord("c") + i) for i in range(x.ndim - 1))]
    of_y = ["b", *(chr(ord("n") + i) for i in range(y.ndim - 1))]
    of_y[pair[1]] = of_x[pair[0]]
    kept = [each for each in (*of_x, *of_y[1:]) if each != of_x[pair[0]]]
    found = ops.einsum(f"{''.join(of_x)},{''.join(of_y)}->{''.join(kept)}", x, y)
    return ops.expand_dims(found, 1) if len(kept) == 1 else found


def expand_dims(x: Any, axis: int = -1) -> Any:
    """A new axis of length 1, by default behind the others.

    Example:
        >>> tuple(expand_dims(torch.ones(2, 3)).shape), tuple(expand_dims(torch.ones(2, 3), 0).shape)
        ((2, 3, 1), (1, 2, 3))
    """
    return ops.expand_dims(x, axis)


@contextmanager
def name_scope(name: str, *args: Any, **kwargs: Any) -> Iterator[str]:
    """A name around what is made within; weights are named after their layers, so it changes none."""
    yield name


def flatten(x: Any) -> Any:
    """All numbers in one row."""
    return ops.reshape(x, (-1,))


def batch_flatten(x: Any) -> Any:
    """The numbers of each sample in one row."""
    x = ops.convert_to_tensor(x)
    return ops.reshape(x, (-1, int(np.prod(x.shape[1:]))))


def gather(reference: Any, indices: Any) -> Any:
    """The rows with these numbers."""
    return ops.take(reference, indices, axis=0)


def one_hot(indices: Any, num_classes: int) -> Any:
    """A new axis with 1 at the index."""
    return ops.one_hot(indices, num_classes)


def repeat(x: Any, n: int) -> Any:
    """Rows (batch, features) repeated along a new axis: (batch, n, features)."""
    return ops.repeat(ops.expand_dims(x, 1), n, axis=1)


def repeat_elements(x: Any, rep: int, axis: int) -> Any:
    """Each slice along an axis so many times."""
    return ops.repeat(x, rep, axis=axis)


def reverse(x: Any, axes: Any) -> Any:
    """The tensor turned round along these axes."""
    return ops.flip(x, axis=axes)


def l2_normalize(x: Any, axis: Any = None) -> Any:
    """x divided by its Euclidean norm along an axis."""
    x = ops.convert_to_tensor(x)
    return x * ops.rsqrt(ops.maximum(ops.sum(ops.square(x), axis=axis, keepdims=True), 1e-12))


def switch(condition: Any, then_expression: Any, else_expression: Any) -> Any:
    """One of two tensors (or what one of two functions gives), number by number where the condition is a tensor."""
    first, second = (each() if callable(each) else each for each in (then_expression, else_expression))
    condition = ops.cast(condition, "bool")
    if condition.ndim > 1:  # axes that it lacks are the last; those that one axis lacks are the first
        condition = ops.reshape(condition, (*condition.shape, *[1] * (ops.ndim(first) - condition.ndim)))
    return ops.where(condition, first, second)


def bias_add(x: Any, bias: Any, data_format: str | None = None) -> Any:
    """The channels, each with a number of its own added."""
    first = data_format == "channels_first"
    return x + (ops.reshape(bias, (-1, *[1] * (ops.ndim(x) - 2))) if first else bias)


def dropout(x: Any, level: float, noise_shape: Any = None, seed: int | None = None) -> Any:
    """Numbers of which a share is 0, the others so much larger that the mean stays."""
    return random.dropout(ops.convert_to_tensor(x), level, noise_shape, seed)


def in_top_k(predictions: Any, targets: Any, k: int) -> Any:
    """Whether each target is among the k largest predictions."""
    return ops.in_top_k(targets, predictions, k)


def binary_crossentropy(target: Any, output: Any, from_logits: bool = False) -> Any:
    """The cross-entropy of each number."""
    return ops.binary_crossentropy(target, output, from_logits=from_logits)


def categorical_crossentropy(target: Any, output: Any, from_logits: bool = False, axis: int = -1) -> Any:
    """The cross-entropy of each sample, of one-hot targets."""
    return ops.categorical_crossentropy(target, output, from_logits=from_logits, axis=axis)


def sparse_categorical_crossentropy(target: Any, output: Any, from_logits: bool = False, axis: int = -1) -> Any:
    """The cross-entropy of each sample, of class numbers."""
    return ops.sparse_categorical_crossentropy(target, output, from_logits=from_logits, axis=axis)


def ctc_batch_cost(y_true: Any, y_pred: Any, input_length: Any, label_length: Any) -> Any:
    """The loss (batch, 1) of texts that are written anywhere along the time, as in readers of lines of text.

    Args:
        y_true: Class numbers (batch, length).
        y_pred: Probabilities (batch, time, classes), the last class for no character.
        input_length: The times of each sample, (batch, 1).
        label_length: The characters of each sample, (batch, 1).

    Source: Graves et al., 2006.
    """
    characters, times = (ops.reshape(ops.convert_to_tensor(each), (-1,)) for each in (label_length, input_length))
    logits = ops.log(ops.convert_to_tensor(y_pred) + 1e-7)
    losses = ops.ctc_loss(ops.cast(y_true, "int32"), logits, characters, times, mask_index=logits.shape[-1] - 1)
    return ops.expand_dims(losses, 1)


def ctc_decode(
    y_pred: Any, input_length: Any, greedy: bool = True, beam_width: int = 100, top_paths: int = 1
) -> tuple[list[Any], Any]:
    """The likeliest texts for what a reader gives, `([texts], scores)`.

    Args:
        y_pred: Probabilities (batch, time, classes), the last class for no character.
        input_length: The times of each sample, (batch,).
        greedy: Whether the best class of each time is taken; else a beam search is made.
        beam_width: How many texts the beam search keeps.
        top_paths: How many texts the beam search gives for each sample.

    Returns:
        For each path the class numbers (batch, time), -1 after the end; and scores (batch, paths): for `greedy` minus
        the sum of the best log-probabilities, else the log-probabilities.
    """
    logits = ops.log(ops.convert_to_tensor(y_pred) + 1e-7)
    times = ops.reshape(ops.convert_to_tensor(input_length), (-1,))
    way, blank = "greedy" if greedy else "beam_search", logits.shape[-1] - 1
    paths, scores = ops.ctc_decode(logits, times, way, beam_width, top_paths, mask_index=blank)
    return [ops.cast(each, "int64") for each in paths], scores


def conv2d(
    x: Any,
    kernel: Any,
    strides: Any = (1, 1),
    padding: str = "valid",
    data_format: str | None = None,
    dilation_rate: Any = (1, 1),
) -> Any:
    """The convolution of pictures with a kernel (height, width, channels in, channels out)."""
    return ops.conv(x, kernel, strides, padding, data_format=data_format, dilation_rate=dilation_rate)


def pool2d(
    x: Any,
    pool_size: Any,
    strides: Any = (1, 1),
    padding: str = "valid",
    data_format: str | None = None,
    pool_mode: str = "max",
) -> Any:
    """The largest number of each window, or for `pool_mode="avg"` the mean."""
    pool = ops.max_pool if pool_mode == "max" else ops.average_pool
    return pool(x, pool_size, strides, padding, data_format=data_format)


def spatial_2d_padding(x: Any, padding: Any = ((1, 1), (1, 1)), data_format: str | None = None) -> Any:
    """Pictures with zeros above and below, left and right."""
    sides = [(0, 0), *(tuple(pair) for pair in padding)]
    return ops.pad(x, [(0, 0), *sides] if data_format == "channels_first" else [*sides, (0, 0)])


def temporal_padding(x: Any, padding: Any = (1, 1)) -> Any:
    """Sequences with zeros before and after."""
    return ops.pad(x, [(0, 0), tuple(padding), (0, 0)])


def resize_images(
    x: Any, height_factor: int, width_factor: int, data_format: str | None = None, interpolation: str = "nearest"
) -> Any:
    """Pictures so many times as large."""
    x = ops.convert_to_tensor(x)
    height, width = x.shape[2:] if data_format == "channels_first" else x.shape[1:3]
    size = (height * height_factor, width * width_factor)
    return ops.image.resize(x, size, interpolation=interpolation, data_format=data_format)


# Values and variables


def constant(value: Any, dtype: Any = None, shape: Any = None, name: str | None = None) -> Any:
    """A tensor of `floatx()`, repeated where `shape` is larger."""
    tensor = ops.convert_to_tensor(value, dtype or floatx())
    return tensor if shape is None else ops.broadcast_to(tensor, tuple(shape))


def variable(value: Any, dtype: Any = None, name: str | None = None, constraint: Any = None) -> Any:
    """A tensor of `floatx()` that can be assigned."""
    return Weight(torch.as_tensor(value, dtype=torch_dtype(dtype)).detach().clone())


def update(x: Any, new_x: Any) -> Any:
    """Gives a variable another value."""
    return x.assign(new_x)


def update_add(x: Any, increment: Any) -> Any:
    """Adds to a variable."""
    return x.assign_add(increment)


def update_sub(x: Any, decrement: Any) -> Any:
    """Subtracts from a variable."""
    return x.assign_sub(decrement)


def get_value(x: Any) -> Any:
    """The value as an array."""
    return ops.convert_to_numpy(x) if isinstance(x, torch.Tensor) else x.numpy() if hasattr(x, "numpy") else x


def set_value(x: Any, value: Any) -> None:
    """Gives a variable, or an optimizer's learning rate, another value: `K.set_value(model.optimizer.lr, 0.01)`."""
    x.assign(value)


def batch_get_value(tensors: Iterable[Any]) -> list[Any]:
    """The values of several variables as arrays."""
    return [get_value(each) for each in tensors]


def batch_set_value(tuples: Iterable[tuple[Any, Any]]) -> None:
    """Gives several variables other values."""
    for x, value in tuples:
        set_value(x, value)


eval = get_value


def cast_to_floatx(x: Any) -> Any:
    """The numbers in the type `floatx()`: an array for an array."""
    return ops.cast(x, floatx()) if isinstance(x, torch.Tensor) else np.asarray(x, floatx())


def dtype(x: Any) -> str:
    """The name of the type."""
    return dtype_name(x.dtype)


def ndim(x: Any) -> int:
    """How many axes there are."""
    return len(x.shape)


def int_shape(x: Any) -> tuple[int | None, ...]:
    """The sizes; None where unknown."""
    return tuple(x.shape)


def shape(x: Any) -> tuple[int | None, ...]:
    """The sizes."""
    return tuple(ops.shape(x))


def count_params(x: Any) -> int:
    """How many numbers a weight has."""
    return int(np.prod(x.shape))


# Random numbers


def random_normal(
    shape: Any, mean: float = 0.0, stddev: float = 1.0, dtype: Any = None, seed: int | None = None
) -> Any:
    """Numbers of a normal distribution."""
    return random.normal(tuple(shape), mean, stddev, dtype, seed)


def random_uniform(
    shape: Any, minval: float = 0.0, maxval: float = 1.0, dtype: Any = None, seed: int | None = None
) -> Any:
    """Numbers spread evenly."""
    return random.uniform(tuple(shape), minval, maxval, dtype, seed)


def truncated_normal(
    shape: Any, mean: float = 0.0, stddev: float = 1.0, dtype: Any = None, seed: int | None = None
) -> Any:
    """Numbers of a normal distribution, none more than two deviations from the mean."""
    return random.truncated_normal(tuple(shape), mean, stddev, dtype, seed)


def random_bernoulli(shape: Any, p: float = 0.0, dtype: Any = None, seed: int | None = None) -> Any:
    """Ones with the chance p, else zeros."""
    return ops.cast(random.uniform(tuple(shape), seed=seed) < p, dtype or floatx())


def map_fn(fn: Callable[[Any], Any], elems: Any, name: str | None = None, dtype: Any = None) -> Any:
    """The function of each slice along the first axis."""
    return torch.stack([fn(each) for each in elems])


__all__ = [name for name in list(globals()) if name[0] != "_" and name not in _OTHERS]
