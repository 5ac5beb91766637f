"""Poolings of every kind against real Keras."""

import itertools

import numpy as np
import pytest
import torch

pytest.importorskip("keras")

import keras
from spatial_twins import check_config, check_models, check_numbers, check_signature, check_unknown_space, close

import lamella
from lamella import layers

SEQUENCE, PICTURE, VOLUME = (3, 11, 4), (2, 9, 8, 4), (2, 6, 5, 7, 2)
FIRST = {"data_format": "channels_first"}

CASES = [
    ("MaxPooling1D", {}, SEQUENCE),
    ("MaxPooling1D", {"pool_size": 3, "strides": 2, "padding": "same"}, SEQUENCE),
    ("MaxPooling1D", {"pool_size": 4, "strides": 1, "padding": "same", **FIRST}, (3, 4, 11)),
    ("MaxPooling1D", {"pool_size": (3,), "strides": 4}, SEQUENCE),
    ("MaxPooling2D", {"pool_size": 2, "strides": 1, "padding": "same"}, PICTURE),
    ("MaxPooling2D", {"pool_size": (3, 2), "strides": (1, 3), "padding": "same"}, PICTURE),
    ("MaxPooling3D", {}, VOLUME),
    ("MaxPooling3D", {"pool_size": (1, 3, 2), "padding": "same"}, VOLUME),
    ("MaxPooling3D", {"pool_size": 2, "strides": 1, "padding": "same", **FIRST}, (2, 2, 4, 5, 3)),
    ("AveragePooling1D", {"pool_size": 2}, SEQUENCE),
    ("AveragePooling1D", {"pool_size": 3, "strides": 1, "padding": "same"}, SEQUENCE),
    ("AveragePooling1D", {"pool_size": 3, "strides": 2, **FIRST}, (3, 4, 11)),
    ("AveragePooling2D", {"pool_size": (3, 5), "strides": 1, "padding": "same"}, PICTURE),
    ("AveragePooling3D", {"pool_size": 2}, VOLUME),
    ("AveragePooling3D", {"pool_size": 3, "strides": 1, "padding": "same"}, VOLUME),
    ("AveragePooling3D", {"pool_size": (1, 2, 3), "strides": 2, **FIRST}, (2, 2, 4, 5, 6)),
    ("GlobalAveragePooling1D", {}, SEQUENCE),
    ("GlobalAveragePooling1D", {"keepdims": True, **FIRST}, SEQUENCE),
    ("GlobalAveragePooling2D", {"keepdims": True}, PICTURE),
    ("GlobalAveragePooling3D", {}, VOLUME),
    ("GlobalAveragePooling3D", {"keepdims": True, **FIRST}, VOLUME),
    ("GlobalMaxPooling1D", {}, SEQUENCE),
    ("GlobalMaxPooling1D", {"keepdims": True, **FIRST}, SEQUENCE),
    ("GlobalMaxPooling2D", {**FIRST}, PICTURE),
    ("GlobalMaxPooling3D", {}, VOLUME),
    ("GlobalMaxPooling3D", {"keepdims": True, **FIRST}, VOLUME),
    ("AdaptiveAveragePooling1D", {"output_size": 4}, SEQUENCE),
    ("AdaptiveAveragePooling1D", {"output_size": (3,), **FIRST}, (3, 4, 11)),
    ("AdaptiveAveragePooling2D", {"output_size": (3, 2)}, PICTURE),
    ("AdaptiveAveragePooling2D", {"output_size": 3, **FIRST}, (2, 4, 7, 8)),
    ("AdaptiveAveragePooling3D", {"output_size": (2, 3, 4)}, VOLUME),
    ("AdaptiveAveragePooling3D", {"output_size": 2, **FIRST}, (2, 2, 5, 6, 3)),
    ("AdaptiveMaxPooling1D", {"output_size": 4}, SEQUENCE),
    ("AdaptiveMaxPooling1D", {"output_size": 3, **FIRST}, (3, 4, 11)),
    ("AdaptiveMaxPooling2D", {"output_size": (3, 2)}, PICTURE),
    ("AdaptiveMaxPooling2D", {"output_size": 3, **FIRST}, (2, 4, 7, 8)),
    ("AdaptiveMaxPooling3D", {"output_size": (2, 3, 4)}, VOLUME),
    ("AdaptiveMaxPooling3D", {"output_size": 2, **FIRST}, (2, 2, 5, 6, 3)),
]
ALIASES = [
    (f"{short}{rank}D", f"{long}{rank}D")
    for rank in (1, 2, 3)
    for short, long in (
        ("MaxPool", "MaxPooling"),
        ("AvgPool", "AveragePooling"),
        ("GlobalMaxPool", "GlobalMaxPooling"),
        ("GlobalAvgPool", "GlobalAveragePooling"),
    )
]


@pytest.mark.parametrize(("name", "arguments", "shape"), CASES)
def test_outputs_and_gradients(name, arguments, shape, rng):
    check_numbers(name, arguments, shape, rng)


@pytest.mark.parametrize(("name", "arguments", "shape"), CASES)
def test_config_goes_both_ways(name, arguments, shape, rng):
    check_config(name, arguments, shape, rng)


@pytest.mark.parametrize(("name", "arguments", "shape"), CASES)
def test_in_models(name, arguments, shape, rng):
    check_models(name, arguments, shape, rng)


@pytest.mark.parametrize(("name", "arguments", "shape"), CASES)
def test_unknown_space(name, arguments, shape):
    check_unknown_space(name, arguments, shape)


@pytest.mark.parametrize("name", sorted({name for name, _, _ in CASES}))
def test_arguments_are_keras_s(name):
    check_signature(name)


@pytest.mark.parametrize(("alias", "name"), ALIASES)
def test_aliases(alias, name):
    assert getattr(layers, alias) is getattr(layers, name)
    arguments = {} if "Global" in name else {"pool_size": 2}
    assert type(layers.deserialize({"class_name": alias, "config": arguments})) is getattr(layers, name)


def windows_by_hand(x, window, step, reduce):
    """`"same"` pooling of (batch, steps, channels) straight from its definition."""
    size = x.shape[1]
    count = -(-size // step)
    before = max((count - 1) * step + window - size, 0) // 2
    starts = [i * step - before for i in range(count)]
    return np.stack([reduce(x[:, max(start, 0) : start + window], axis=1) for start in starts], axis=1)


def test_same_pooling_of_every_window_and_step(rng):
    """What hangs over an end counts for nothing: as TensorFlow and JAX have it.

    Keras on torch repeats the edge before averaging where the two ends are padded unequally.
    """
    for size, window, step in itertools.product((5, 6, 7), range(1, 6), range(1, 5)):
        x = rng.normal(size=(2, size, 3)).astype("float32")
        for name, reduce in (("MaxPooling1D", np.max), ("AveragePooling1D", np.mean)):
            expected = windows_by_hand(x, window, step, reduce)
            close(getattr(layers, name)(window, step, "same")(torch.tensor(x)), expected, 1e-6)
        assert layers.MaxPooling1D(window, step, "same")(lamella.Input((size, 3))).shape[1] == expected.shape[1]


def test_same_pooling_of_pictures_and_volumes_goes_axis_by_axis(rng):
    for rank, sizes in ((2, (7, 8)), (3, (4, 5, 6))):
        x = rng.normal(size=(2, *sizes, 3)).astype("float32")
        for window, step in (((2, 3, 4), (1, 2, 3)), ((3, 2, 2), (2, 2, 1)), ((4, 1, 3), (3, 2, 2))):
            for name, reduce in (("MaxPooling", np.max), ("AveragePooling", np.mean)):
                layer = getattr(layers, f"{name}{rank}D")(window[:rank], step[:rank], "same")
                y = x
                for axis in range(rank):
                    moved = np.moveaxis(y, axis + 1, 1)
                    y = np.moveaxis(windows_by_hand(moved, window[axis], step[axis], reduce), 1, axis + 1)
                close(layer(torch.tensor(x)), y, 1e-5)  # a mean over a box is the mean of means: its rows are alike


def test_the_mean_of_a_masked_sequence(rng):
    x = rng.normal(size=(4, 5, 3)).astype("float32")
    mask = torch.tensor(rng.integers(0, 2, (4, 5)).astype(bool))
    mask[:, 0] = True
    for arguments in ({}, {"keepdims": True}, {**FIRST}, {"keepdims": True, **FIRST}):
        inputs = torch.tensor(x if "data_format" not in arguments else x.swapaxes(1, 2).copy())
        ours, theirs = layers.GlobalAveragePooling1D(**arguments), keras.layers.GlobalAveragePooling1D(**arguments)
        assert ours.supports_masking == theirs.supports_masking
        close(ours(inputs, mask=mask), theirs(inputs, mask=mask))
    x[~mask.numpy()] = np.nan  # what is masked is not looked at
    assert layers.GlobalAveragePooling1D()(torch.tensor(x), mask=mask).isfinite().all()


def test_a_mask_goes_from_embedding_to_mean_and_no_further(rng):
    words = rng.integers(0, 5, (6, 7))
    words[:, 0] = 1
    ours = [lamella.Sequential([lamella.Input((7,)), layers.Embedding(5, 3, mask_zero=True), layers.GlobalAvgPool1D()])]
    inputs = lamella.Input((7,))
    ours.append(lamella.Model(inputs, layers.GlobalAvgPool1D()(layers.Embedding(5, 3, mask_zero=True)(inputs))))
    theirs = keras.Sequential(
        [keras.Input((7,)), keras.layers.Embedding(5, 3, mask_zero=True), keras.layers.GlobalAveragePooling1D()]
    )
    table = rng.normal(size=(5, 3)).astype("float32")
    expected = np.stack([table[row[row != 0]].mean(0) for row in words])
    theirs.set_weights([table])
    close(theirs.predict(words, verbose=0), expected)
    for model in ours:
        model.set_weights([table])
        close(model.predict(words, verbose=0), expected)
        y = model(torch.tensor(words))
        close(y.detach(), expected)
        assert getattr(y, "_keras_mask", None) is None


def test_pooling_keeps_memory_in_order(rng):
    """No copy on the way in, and what comes out lies as the next layer wants it."""
    for name, arguments, shape in CASES:
        if "Global" in name or arguments.get("data_format") == "channels_first":
            continue
        layer = getattr(layers, name)(**arguments)
        x = torch.tensor(rng.normal(size=shape).astype("float32"))
        assert layer.inward(x).data_ptr() == x.data_ptr()
        assert layer(x).is_contiguous()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: layers.MaxPooling1D(0), "`pool_size` must be a positive whole number"),
        (lambda: layers.MaxPooling3D((2, 2)), "`pool_size` must be a positive whole number or a tuple with 3 of them"),
        (lambda: layers.AveragePooling1D(2, strides=-1), "`strides` must be a positive whole number"),
        (lambda: layers.AveragePooling1D(2, padding="causal"), "`padding` must be 'valid' or 'same'"),
        (lambda: layers.MaxPooling1D(data_format="NCW"), "`data_format` must be 'channels_last' or 'channels_first'"),
        (
            lambda: layers.MaxPooling1D(9, name="m")(torch.ones(1, 4, 1)),
            r"MaxPooling1D 'm': a window of \(9,\) does not",
        ),
        (lambda: layers.AveragePooling3D(3)(torch.ones(1, 4, 4, 2, 1)), "does not fit in an input of size"),
        (lambda: layers.MaxPooling3D()(torch.ones(2, 9, 9, 9)), "expected an input of rank 5"),
        (lambda: layers.GlobalMaxPooling1D()(torch.ones(2, 9, 9, 9)), "expected an input of rank 3"),
        (lambda: layers.GlobalAveragePooling3D()(lamella.Input((9, 9))), "expected an input of rank 5"),
        (
            lambda: layers.AdaptiveAveragePooling2D((2, 2, 2)),
            "`output_size` must be a positive whole number or a tuple",
        ),
        (lambda: layers.AdaptiveMaxPooling1D(2)(torch.ones(2, 9, 9, 3)), "expected an input of rank 3"),
    ],
)
def test_errors_say_what_is_wrong(make, message):
    with pytest.raises(ValueError, match=message):
        make()
