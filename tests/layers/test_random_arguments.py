"""Every layer with arguments and inputs drawn by chance computes what real Keras's computes.

Of each draw: the shapes that are foretold, names and shapes of the weights, outputs, masks, penalties, gradients, the
weights after the call, and the outputs of layers made of the other one's config. What Keras on torch cannot do, or does
otherwise (docs/differences.md), is not drawn.
"""

import zlib
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
import torch

import lamella
from lamella.engine import masking

keras = pytest.importorskip("keras")

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*softmax over axis"),
    pytest.mark.filterwarnings("ignore:.*does not support masking"),
]

ACTIVATIONS = [None, "relu", "tanh", "sigmoid", "softmax", "gelu", "elu", "softplus", "silu", "hard_sigmoid", "mish"]
REGULARIZERS = [None, "l1", "l2", "l1l2"]
CONSTRAINTS = [None, "non_neg", "unit_norm", "max_norm"]
INITIALIZERS = ["glorot_uniform", "he_normal", "zeros", "ones", "random_normal", "lecun_uniform"]
CELLS = ["SimpleRNN", "GRU", "LSTM"]


@dataclass
class Inner:
    """A layer among the arguments of another."""

    name: str
    arguments: dict[str, Any]

    def of(self, k):
        return getattr(k.layers, self.name)(**resolved(self.arguments, k))


def resolved(value, k):
    if isinstance(value, Inner):
        return value.of(k)
    if isinstance(value, dict):
        return {key: resolved(each, k) for key, each in value.items()}
    return [resolved(each, k) for each in value] if isinstance(value, list) else value


@dataclass
class Case:
    """What is drawn: the arguments of a layer, its inputs, and how it is called."""

    arguments: dict[str, Any]
    inputs: Any
    call: dict[str, Any] = field(default_factory=dict)
    masks: Any = None
    apart: bool = False
    """Whether the inputs are arguments each, and not a list."""


class Draw:
    """Chance, from a seed."""

    def __init__(self, name, seed):
        self.rng = np.random.default_rng([zlib.crc32(name.encode()), seed])

    def of(self, *values):
        return values[self.rng.integers(len(values))]

    def upto(self, most, least=1):
        return int(self.rng.integers(least, most + 1))

    def likely(self, share):
        return self.rng.random() < share

    def some(self, share=0.4, **choices):
        """Each argument, with this probability, has one of its values."""
        return {name: self.of(*values) for name, values in choices.items() if self.likely(share)}

    def sizes(self, rank, most, least=1):
        return tuple(self.upto(most, least) for _ in range(rank))

    def each(self, rank, most):
        """One number, or one for each axis."""
        return self.upto(most) if self.likely(0.5) else self.sizes(rank, most)

    def floats(self, *shape):
        return self.rng.normal(size=shape).astype("float32")

    def mask(self, *shape):
        return self.rng.random(shape) < 0.7

    def weights(self, *names):
        drawn = {}
        for name in names:
            drawn |= self.some(0.25, **{f"{name}_initializer": INITIALIZERS, f"{name}_regularizer": REGULARIZERS})
            drawn |= self.some(0.15, **{f"{name}_constraint": CONSTRAINTS})
        return drawn

    def common(self):
        return self.some(0.15, activity_regularizer=REGULARIZERS, trainable=[True, False])

    def one(self, arguments, shape, masked=0.2, least=1):
        """A case of one input, `least` samples of `shape` or more, which may carry a mask of its first axis."""
        batch = self.upto(3, least)
        mask = self.mask(batch, shape[0]) if len(shape) > 1 and self.likely(masked) else None
        return Case(arguments | self.common(), self.floats(batch, *shape), masks=mask)

    def picture(self, rank, arguments, most, channels):
        """The shape of a sample, in the data format that is drawn into `arguments`."""
        arguments |= self.some(0.5, data_format=["channels_first", "channels_last", None])
        space = self.sizes(rank, most, 4)
        return (channels, *space) if arguments.get("data_format") == "channels_first" else (*space, channels)


CASES = {}


def draws(*names):
    def add(function):
        CASES.update(dict.fromkeys(names, function))
        return function

    return add


# -- what is drawn ----------------------------------------------------------------------------------------


@draws("Dense")
def dense(d, name):
    arguments = {"units": d.upto(6)} | d.some(activation=ACTIVATIONS, use_bias=[True, False])
    return d.one(arguments | d.weights("kernel", "bias"), d.sizes(d.upto(3), 5))


@draws("EinsumDense")
def einsum_dense(d, name):
    a, b, c = d.sizes(3, 4)
    equation, output, sample, axes = d.of(
        ("ab,bc->ac", c, (a,), ["c", None]),
        ("abc,cd->abd", (None, c), (a, b), ["d"]),
        ("...x,xy->...y", c, (a, b), ["y"]),
        ("abcd,cde->abe", (None, c), (2, a, b), ["e"]),
        ("ab...,bc->ac...", c, (a, b), ["c"]),
        ("abc,bcd->ad", c, (a, b), ["d"]),
    )
    arguments = {"equation": equation, "output_shape": output} | d.some(activation=ACTIVATIONS, bias_axes=axes)
    return d.one(arguments | d.weights("kernel", "bias"), sample, masked=0)


@draws("Embedding", "ReversibleEmbedding")
def embedding(d, name):
    arguments = {"input_dim": d.upto(7), "output_dim": d.upto(5)} | d.some(mask_zero=[True, False])
    if name == "ReversibleEmbedding":
        arguments |= d.some(tie_weights=[True, False], logit_soft_cap=[None, 1.5])
    shape = (d.upto(3), *d.sizes(d.upto(2, 0), 4))
    whole = d.rng.integers(0, arguments["input_dim"], shape).astype(d.of("int32", "int64", "uint8", "float32"))
    case = Case(arguments | d.weights("embeddings") | d.common(), whole)
    if name == "ReversibleEmbedding" and d.likely(0.5):
        case.inputs, case.call = d.floats(*shape, arguments["output_dim"]), {"reverse": True}
    return case


@draws("ReLU", "LeakyReLU", "ELU", "PReLU", "Softmax", "Activation", "ActivityRegularization", "Identity", "Masking")
def elementwise(d, name):
    rank = d.upto(3)
    arguments = {
        "ReLU": d.some(max_value=[None, 1.0, 6, 0], negative_slope=[0, 0.1, 0.5], threshold=[0.0, 0.3, 1]),
        "LeakyReLU": d.some(negative_slope=[0, 0.1, 1]),
        "ELU": d.some(alpha=[0, 0.1, 3.0]),
        "PReLU": d.some(shared_axes=[None, [1], [1, rank], [rank]]) | d.weights("alpha"),
        "Softmax": d.some(axis=[-1, 1, rank, (1, rank) if rank > 1 else -1]),
        "Activation": {"activation": d.of(*ACTIVATIONS[1:])},
        "ActivityRegularization": d.some(l1=[0.0, 0.1], l2=[0, 0.2]),
        "Identity": {},
        "Masking": d.some(mask_value=[0.0, 1, -1.0]),
    }[name]
    case = d.one(arguments, d.sizes(rank, 5), masked=0)
    if name == "ActivityRegularization":
        case.arguments.pop("activity_regularizer", None)
    if name == "ELU":  # with an object among its arguments Keras has no config of it
        case.arguments.pop("activity_regularizer", None)
    if name == "Masking":
        case.inputs = d.rng.integers(-1, 2, case.inputs.shape).astype("float32")
    if name == "Softmax" and d.likely(0.4):
        case.call = {"mask": d.mask(*case.inputs.shape)}
    return case


@draws("Flatten", "Reshape", "Permute", "RepeatVector")
def reshaping(d, name):
    if name == "Reshape":
        target, sample = d.of(((-1,), (4, 3)), ((3, 4), (12,)), ((3, -1), (2, 6)), ((2, 2, 3), (4, 3)), ((), (1,)))
        return d.one({"target_shape": target}, sample)
    if name == "RepeatVector":
        return d.one({"n": d.upto(3)}, d.sizes(1, 5))
    rank = d.upto(4)
    if name == "Flatten":
        return d.one(d.some(data_format=["channels_first", "channels_last"]), d.sizes(rank, 4))
    return d.one({"dims": tuple(int(axis) + 1 for axis in d.rng.permutation(rank))}, d.sizes(rank, 4), masked=0)


@draws(*(f"{kind}{rank}D" for kind in ("Cropping", "ZeroPadding", "UpSampling") for rank in (1, 2, 3)))
def resizing(d, name):
    rank, arguments = int(name[-2]), {}
    shape = d.picture(rank, arguments, 6, d.upto(3))
    if rank == 1 and not name.startswith("ZeroPadding"):  # these know one format
        arguments, shape = {}, (d.upto(6, 4), d.upto(3))
    if name.startswith("UpSampling"):
        arguments |= {"size": d.each(rank, 3) if rank > 1 else d.upto(3)}
        return d.one(arguments | (d.some(interpolation=["nearest", "bilinear"]) if rank == 2 else {}), shape, masked=0)
    pairs = tuple((d.upto(2, 0), d.upto(1, 0)) for _ in range(rank))
    key = "cropping" if name.startswith("Cropping") else "padding"
    return d.one(arguments | {key: d.of(d.upto(1, 0), pairs if rank > 1 else pairs[0])}, shape, masked=0)


@draws(*(f"{kind}{rank}D" for kind in ("Conv", "DepthwiseConv", "SeparableConv") for rank in (1, 2)), "Conv3D")
def convolution(d, name):
    rank, channels = int(name[-2]), d.upto(4)
    arguments = {"kernel_size": d.each(rank, 3)} | d.some(activation=ACTIVATIONS, use_bias=[True, False])
    arguments |= d.some(padding=["valid", "same", *(["causal"] if name == "Conv1D" else [])])
    arguments |= d.some(0.8, **{d.of("strides", "dilation_rate"): [d.each(rank, 4 if rank == 1 else 2)]})
    if not name.startswith("Depthwise"):
        arguments |= {"filters": d.upto(6)}
    if name.startswith("Conv") and d.likely(0.3):
        groups = d.upto(3)
        arguments |= {"groups": groups, "filters": groups * d.upto(2)}
        channels = groups * d.upto(2)
    if not name.startswith("Conv"):
        arguments |= d.some(depth_multiplier=[1, 2, 3])
    shape = d.picture(rank, arguments, 9, channels)
    if "dilation_rate" in arguments:
        arguments["padding"] = "same"
    first = "kernel" if name.startswith("Conv") else "depthwise"
    arguments |= d.weights(first, *["pointwise"] * name.startswith("Sep"), "bias")
    return d.one(arguments, shape, masked=0, least=2)  # Keras on one thread has no gradients of one sample


@draws(*(f"Conv{rank}DTranspose" for rank in (1, 2, 3)))
def transposed_convolution(d, name):
    rank = int(name[4])
    arguments = {"filters": d.upto(3), "kernel_size": d.each(rank, 3)}
    arguments |= d.some(strides=[d.each(rank, 3)], padding=["valid", "same"], activation=ACTIVATIONS, use_bias=[False])
    shape = d.picture(rank, arguments, 5, d.upto(3))
    return d.one(arguments | d.weights("kernel", "bias"), shape, masked=0, least=2)


@draws(*(f"{kind}Pooling{rank}D" for kind in ("Max", "Average") for rank in (1, 2, 3)))
def pooling(d, name):
    rank = int(name[-2])
    arguments = {"pool_size": d.each(rank, 3)} | d.some(strides=[None, d.each(rank, 3)])
    if name.startswith("Max"):
        arguments |= d.some(padding=["valid", "same"])
    return d.one(arguments, d.picture(rank, arguments, 8, d.upto(3)), masked=0)


@draws(*(f"Global{kind}Pooling{rank}D" for kind in ("Max", "Average") for rank in (1, 2, 3)))
def global_pooling(d, name):
    arguments = d.some(keepdims=[True, False])
    shape = d.picture(int(name[-2]), arguments, 6, d.upto(3))
    masked = 0.5 if name == "GlobalAveragePooling1D" and arguments.get("data_format") != "channels_first" else 0
    return d.one(arguments, shape, masked)


@draws(*(f"Adaptive{kind}Pooling{rank}D" for kind in ("Max", "Average") for rank in (1, 2, 3)))
def adaptive_pooling(d, name):
    arguments = {"output_size": d.each(int(name[-2]), 4)}
    return d.one(arguments, d.picture(int(name[-2]), arguments, 8, d.upto(3)), masked=0)


@draws("BatchNormalization", "LayerNormalization", "RMSNormalization", "UnitNormalization", "GroupNormalization")
def normalization(d, name):
    rank = d.upto(3)
    shape = d.sizes(rank, 5, 2)
    arguments = {} if name == "UnitNormalization" else d.some(epsilon=[1e-5, 0.1])
    if name in ("BatchNormalization", "UnitNormalization"):
        arguments |= d.some(axis=[-1, 1, rank])
    if name in ("LayerNormalization", "RMSNormalization"):  # along other axes Keras on torch fails
        arguments |= d.some(axis=[-1, rank, [rank - 1, rank] if rank > 1 else -1])
    if name == "GroupNormalization":
        arguments |= {"groups": d.of(1, 2, -1)}
        shape = (*shape[:-1], 2 * shape[-1])
    if name.startswith(("Batch", "Layer", "Group")):
        arguments |= d.some(center=[False, True], scale=[False, True]) | d.weights("beta", "gamma")
    case = d.one(arguments, shape, masked=0 if name == "RMSNormalization" else 0.3)
    if name == "BatchNormalization":
        case.arguments |= d.some(momentum=[0.9, 0.0, 0.5])
        case.call = d.some(0.7, training=[True, False, None])
        case.masks = case.masks if rank == 2 else None
    return case


@draws("SpectralNormalization", "TimeDistributed")
def wrapper(d, name):
    inner, shape = d.of(
        (Inner("Dense", {"units": d.upto(4)} | d.weights("kernel", "bias")), (3,)),
        (Inner("Conv2D", {"filters": 3, "kernel_size": 2, "padding": d.of("same", "valid")}), (4, 5, 2)),
        (Inner("DepthwiseConv2D", {"kernel_size": 2}), (4, 4, 2)),
    )
    if name == "TimeDistributed":
        return d.one({"layer": inner}, (d.upto(4), *shape), masked=0)
    return d.one({"layer": inner} | d.some(power_iterations=[1, 2, 5]), shape, masked=0)


@draws("Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum", "Concatenate", "Dot")
def merging(d, name):
    arguments, batch, count = {}, d.upto(3), 2 if name in ("Subtract", "Dot") else d.upto(4, 2)
    shapes = [d.sizes(2, 5)] * count
    if name == "Concatenate":
        axis = d.of(-1, 1, 2)
        arguments, wide = {"axis": axis}, shapes[0]
        shapes = [(wide[0], d.upto(4)) if axis != 1 else (d.upto(4), wide[1]) for _ in range(count)]
    if name == "Dot":
        size = d.upto(4)
        axes, shapes = d.of((1, [(size,)] * 2), (2, [(3, size), (2, size)]), ((2, 1), [(3, size), (size, 2)]))
        arguments = {"axes": axes} | d.some(normalize=[True, False])
    masks = None
    if name not in ("Dot", "Concatenate") and d.likely(0.3):
        masks = [d.mask(batch, shape[0]) for shape in shapes]
    return Case(arguments | d.common(), [d.floats(batch, *shape) for shape in shapes], {}, masks)


def cell_arguments(d, kind):
    arguments = {"units": d.upto(4)} | d.some(activation=["tanh", "relu", "softsign"], use_bias=[False, True])
    if kind != "SimpleRNN":
        arguments |= d.some(recurrent_activation=["sigmoid", "hard_sigmoid", "tanh"])
    if kind == "GRU":
        arguments |= d.some(reset_after=[True, False])
    if kind == "LSTM":
        arguments |= d.some(unit_forget_bias=[True, False])
    return arguments | d.weights("kernel", "recurrent", "bias")


def loop_arguments(d):
    arguments = d.some(return_sequences=[True, False], return_state=[True], go_backwards=[True])
    return arguments | (
        {} if arguments.get("go_backwards") else d.some(unroll=[True])
    )  # Keras fails at both and a mask


def states(d, kind, batch, units):
    return [d.floats(batch, units) for _ in range(2 if kind == "LSTM" else 1)]


@draws("SimpleRNN", "GRU", "LSTM", "RNN", "Bidirectional")
def recurrent(d, name):
    kind = name if name in CELLS else d.of(*CELLS)
    own = cell_arguments(d, kind)
    arguments = own | loop_arguments(d)
    if name == "RNN":
        arguments = {"cell": Inner(f"{kind}Cell", own)} | loop_arguments(d) | d.some(zero_output_for_mask=[True, False])
    if name == "Bidirectional":
        arguments = {key: value for key, value in arguments.items() if key not in ("go_backwards", "unroll")}
        arguments = {"layer": Inner(kind, arguments)} | d.some(merge_mode=["concat", "sum", "mul", "ave", None])
    case = d.one(arguments, d.sizes(2, 5), masked=0.4)
    if name in ("SimpleRNN", "Bidirectional"):  # Keras's SimpleRNN leaves it out
        case.arguments.pop("activity_regularizer", None)
    if name != "Bidirectional" and d.likely(0.3):  # Keras leaves out a mask that is carried where there are states
        case.call = {"initial_state": states(d, kind, len(case.inputs), own["units"])}
        case.call |= {} if case.masks is None else {"mask": case.masks}
        case.masks = None
    return case


@draws("SimpleRNNCell", "GRUCell", "LSTMCell", "StackedRNNCells")
def cell(d, name):
    batch = d.upto(3)
    kinds = [name.removesuffix("Cell")] if name != "StackedRNNCells" else [d.of(*CELLS) for _ in range(d.upto(3))]
    own = [cell_arguments(d, kind) for kind in kinds]
    start = [states(d, kind, batch, each["units"]) for kind, each in zip(kinds, own, strict=True)]
    if name != "StackedRNNCells":
        return Case(own[0], [d.floats(batch, d.upto(4)), start[0]], apart=True)
    cells = [Inner(f"{kind}Cell", each) for kind, each in zip(kinds, own, strict=True)]
    return Case({"cells": cells}, [d.floats(batch, d.upto(4)), start], apart=True)


@draws("ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D")
def convolutional_recurrent(d, name):
    rank = int(name[-2])
    arguments = {"filters": d.upto(2), "kernel_size": d.each(rank, 3)} | d.some(padding=["same", "valid"])
    arguments |= cell_arguments(d, "LSTM") | d.some(return_sequences=[True], return_state=[True], go_backwards=[True])
    arguments.pop("units")
    shape = d.picture(rank, arguments, 5, d.upto(2))
    return d.one(arguments, (d.upto(3), *shape), masked=0.3)


@draws("Attention", "AdditiveAttention")
def attention(d, name):
    batch, features, queries, values = d.sizes(4, 4)
    arguments = d.some(use_scale=[True, False])
    if name == "Attention":
        arguments |= d.some(score_mode=["dot", "concat"])
    inputs = [d.floats(batch, steps, features) for steps in (queries, values, values)[: d.of(2, 3)]]
    call = d.some(0.3, return_attention_scores=[True], use_causal_mask=[True])
    if d.likely(0.4):
        call["mask"] = [d.of(None, d.mask(batch, queries)), d.of(None, d.mask(batch, values))]
    return Case(arguments, inputs, call)


@draws("MultiHeadAttention", "GroupQueryAttention")
def headed_attention(d, name):
    batch, queries, values, features = d.sizes(4, 4)
    arguments = d.some(use_bias=[True, False], use_gate=[True, False], sliding_window=[None, 2])
    if name == "MultiHeadAttention":
        arguments |= {"num_heads": d.upto(3), "key_dim": d.upto(4)} | d.some(value_dim=[1, 3], output_shape=[5, (2, 3)])
    else:
        heads = d.upto(2)
        arguments |= {"head_dim": d.upto(4), "num_key_value_heads": heads, "num_query_heads": heads * d.upto(3)}
    inputs = [d.floats(batch, steps, features) for steps in (queries, values, values)[: d.of(2, 3)]]
    call = d.some(0.3, return_attention_scores=[True], use_causal_mask=[True], value_mask=[d.mask(batch, values)])
    call |= d.some(0.3, attention_mask=[d.mask(batch, queries, values), d.mask(1, queries, values)])
    return Case(arguments | d.weights("kernel", "bias"), inputs, call, apart=True)


@draws("Dropout", "AlphaDropout", "GaussianDropout", "GaussianNoise", *(f"SpatialDropout{rank}D" for rank in (1, 2, 3)))
def noise(d, name):
    arguments = {"stddev" if name == "GaussianNoise" else "rate": d.of(0.0, 0.2, 0.9)} | d.some(seed=[None, 3])
    case = d.one(arguments, d.sizes(int(name[-2]) + 1 if name.startswith("Spatial") else d.upto(3), 4))
    if name.startswith("Spatial"):
        case.arguments = arguments
    case.call = d.some(training=[False, None])
    return case


@draws("Rescaling", "Normalization", "Discretization", "CategoryEncoding", "CenterCrop", "Resizing")
def preprocessing(d, name):
    if name in ("CenterCrop", "Resizing"):
        arguments = {"height": d.upto(9), "width": d.upto(9)}
        if name == "Resizing":
            arguments |= d.some(
                interpolation=["nearest", "bilinear"], **{d.of("crop", "pad") + "_to_aspect_ratio": [True]}
            )
        shape = d.picture(2, arguments, 9, d.of(1, 3))
        return Case(arguments, d.floats(d.upto(3), *shape))
    if name == "CategoryEncoding":
        count = d.upto(6)
        arguments = {"num_tokens": count} | d.some(output_mode=["one_hot", "multi_hot", "count"])
        return Case(arguments, d.rng.integers(0, count, (d.upto(3), d.upto(4, 2))).astype("int32"))
    shape = (*d.sizes(d.upto(2, 0), 4), 3)
    arguments = {
        "Rescaling": {"scale": d.of(0.5, 2, [1.0, 2.0, 3.0])} | d.some(offset=[0, 1.0, [1.0, 2.0, 3.0]]),
        "Normalization": {"mean": [0.5, 1.0, -1.0], "variance": [1.0, 4.0, 0.5]} | d.some(invert=[True, False]),
        "Discretization": {"bin_boundaries": d.of([0.0, 1.0], [-1, 0, 0.5])} | d.some(output_mode=["int", "count"]),
    }[name]
    return Case(arguments, d.floats(d.upto(3), *shape))


# -- how it is compared -----------------------------------------------------------------------------------


def leaves(value):
    values = value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple)) else None
    return [value] if values is None else [leaf for each in values for leaf in leaves(each)]


def mapped(function, value):
    if isinstance(value, dict):
        return {key: mapped(function, each) for key, each in value.items()}
    return [mapped(function, each) for each in value] if isinstance(value, (list, tuple)) else function(value)


def called(layer, case, inputs, call):
    return layer(*inputs, **call) if case.apart else layer(inputs, **call)


def foretold(k, layer, case):
    """The shapes that a symbolic call gives, the batch unknown."""

    def symbol(x):
        return k.Input(x.shape[1:], dtype=str(x.dtype)) if isinstance(x, np.ndarray) else x

    call = {key: mapped(symbol, value) if key != "attention_mask" else value for key, value in case.call.items()}
    return [tuple(each.shape)[1:] for each in leaves(called(layer, case, mapped(symbol, case.inputs), call))]


def computed(layer, case, gradients=False):
    """What a call gives, with its gradients if they are asked for."""

    def tensor(x):
        x = torch.tensor(x) if isinstance(x, np.ndarray) else x
        return x.requires_grad_() if isinstance(x, torch.Tensor) and x.is_floating_point() else x

    inputs, call = mapped(tensor, case.inputs), mapped(tensor, case.call)
    for x, mask in zip(leaves(inputs), leaves(case.masks), strict=False):
        if mask is not None:
            masking.set_mask(x, torch.tensor(mask))  # the attribute is Keras's, too
    outputs = leaves(called(layer, case, inputs, call))
    found = {"outputs": outputs, "mask": [masking.get_mask(outputs[0])], "penalties": list(layer.losses)}
    rng = np.random.default_rng(0)
    total = sum(
        ((y * torch.tensor(rng.normal(size=tuple(y.shape)))).sum() for y in outputs if y.is_floating_point()),
        sum(layer.losses, torch.zeros(())),
    )
    weights = [getattr(weight, "value", weight) for weight in layer.trainable_weights]
    sources = [x for x in leaves([inputs, list(call.values())]) if isinstance(x, torch.Tensor) and x.requires_grad]
    if gradients and total.requires_grad:
        grads = torch.autograd.grad(total, sources + weights, allow_unused=True)
        pairs = zip(grads, sources + weights, strict=True)
        found["gradients"] = [torch.zeros_like(of) if grad is None else grad for grad, of in pairs]
    found["weights after"] = [getattr(weight, "value", weight) for weight in layer.weights]
    return found


def assert_same(ours, theirs, what):
    assert len(ours) == len(theirs), what
    for one, other in zip(ours, theirs, strict=True):
        assert (one is None) == (other is None), what
        if one is not None:
            assert one.dtype is other.dtype, what
            one, other = one.detach().double().numpy(), other.detach().double().numpy()
            scale = max(np.abs(other).max(initial=0), 1.0)
            np.testing.assert_allclose(one, other, rtol=1e-4, atol=2e-5 * scale, err_msg=what)


def with_weights(layer, values):
    if values:
        layer.set_weights(values)
    return layer


def compare(name, seed):
    case = CASES[name](Draw(name, seed), name)
    for k in (lamella, keras):
        k.backend.clear_session()  # the names of both count from the beginning
    ours, theirs = (Inner(name, case.arguments).of(k) for k in (lamella, keras))
    if not case.apart or "Attention" in name:
        shapes, wanted = foretold(lamella, ours, case), foretold(keras, theirs, case)
        known = [size if size is None else own for own, size in zip(shapes[0], wanted[0], strict=True)]
        assert known == list(wanted[0]), case  # that of attention's scores Keras foretells wrongly
    for layer in (ours, theirs):
        computed(layer, case)
    kept = [[(w.path, tuple(w.shape)) for w in layer.weights] for layer in (ours, theirs)]
    assert kept[0] == kept[1], case
    assert ours.count_params() == theirs.count_params()
    rng = np.random.default_rng(seed)
    values = [rng.uniform(0.2, 1.0, shape).astype("float32") for _, shape in kept[0]]
    whole = [not getattr(weight, "value", weight).is_floating_point() for weight in theirs.weights]
    values = [w if keep else v for v, w, keep in zip(values, theirs.get_weights(), whole, strict=True)]
    found, wanted = (computed(with_weights(layer, values), case, gradients=True) for layer in (ours, theirs))
    assert found.keys() == wanted.keys(), case
    for what in wanted:
        assert_same(found[what], wanted[what], f"{what} of {name} {seed}: {case}")
    for again in (type(ours).from_config(theirs.get_config()), type(theirs).from_config(ours.get_config())):
        computed(again, case)
        found = computed(with_weights(again, values), case)
        assert_same(found["outputs"], wanted["outputs"], f"outputs by config of {name} {seed}: {case}")


@pytest.mark.parametrize("name", CASES)
def test_as_keras(name):
    for seed in (0, 1):
        compare(name, seed)


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_as_keras_with_many_arguments(name):
    for seed in range(2, 40):
        compare(name, seed)
