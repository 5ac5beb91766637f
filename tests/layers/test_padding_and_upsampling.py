"""Zero padding, cropping and upsampling against real Keras."""

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
    ("ZeroPadding1D", {}, SEQUENCE),
    ("ZeroPadding1D", {"padding": (2, 0), **FIRST}, SEQUENCE),
    ("ZeroPadding2D", {}, PICTURE),
    ("ZeroPadding2D", {"padding": (2, 3)}, PICTURE),
    ("ZeroPadding2D", {"padding": ((0, 1), (2, 3)), **FIRST}, PICTURE),
    ("ZeroPadding3D", {"padding": 2}, VOLUME),
    ("ZeroPadding3D", {"padding": (0, 1, 2), **FIRST}, VOLUME),
    ("ZeroPadding3D", {"padding": ((0, 1), (2, 3), (4, 0))}, VOLUME),
    ("Cropping1D", {}, SEQUENCE),
    ("Cropping1D", {"cropping": 3}, SEQUENCE),
    ("Cropping1D", {"cropping": (4, 0)}, SEQUENCE),
    ("Cropping2D", {}, PICTURE),
    ("Cropping2D", {"cropping": (1, 2)}, PICTURE),
    ("Cropping2D", {"cropping": ((0, 2), (3, 0)), **FIRST}, PICTURE),
    ("Cropping3D", {}, VOLUME),
    ("Cropping3D", {"cropping": 1, **FIRST}, (2, 2, 4, 5, 6)),
    ("Cropping3D", {"cropping": ((0, 1), (2, 0), (0, 0))}, VOLUME),
    ("UpSampling1D", {}, SEQUENCE),
    ("UpSampling1D", {"size": 7}, SEQUENCE),
    ("UpSampling2D", {}, PICTURE),
    ("UpSampling2D", {"size": (3, 1), **FIRST}, PICTURE),
    ("UpSampling2D", {"size": 2, "interpolation": "bilinear"}, PICTURE),
    ("UpSampling2D", {"size": (2, 3), "interpolation": "BICUBIC", **FIRST}, PICTURE),
    ("UpSampling3D", {}, VOLUME),
    ("UpSampling3D", {"size": (1, 3, 2), **FIRST}, VOLUME),
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


def test_repeating_never_misses_by_one(rng):
    """Factors whose reciprocal float32 rounds, and long sequences."""
    for factor in (3, 7, 29, 41, 49, 55, 83, 97):
        x = rng.normal(size=(1, 50, 2)).astype("float32")
        close(layers.UpSampling1D(factor)(torch.tensor(x)), np.repeat(x, factor, axis=1), 0)


# Keras cannot resample by Lanczos's kernel on torch. These are UpSampling2D's outputs from Keras 3 on JAX for
# x[i, j] = (3 * i + 5 * j) % 7, size=(2, 2).
LANCZOS = {
    "lanczos3": [
        [-1.17161, 1.01566, 4.49301, 5.56524, 3.41195, 1.81429],
        [-0.10719, 1.07404, 3.11188, 4.45811, 4.0827, 3.64174],
        [2.0117, 1.53506, 1.14322, 2.66526, 4.93664, 6.25022],
        [4.87116, 3.53253, 1.62526, 2.02897, 4.43477, 5.99539],
        [6.42088, 5.73283, 4.42365, 3.05336, 2.67038, 2.60493],
        [5.37827, 4.91852, 3.99808, 2.86342, 2.38267, 2.21848],
        [3.28615, 2.34514, 1.04995, 1.55224, 3.46772, 4.68493],
        [1.86003, 0.60887, -0.91048, 0.72999, 4.27515, 6.42838],
    ],
    "lanczos5": [
        [-1.18967, 1.23979, 4.80972, 5.85361, 3.43121, 1.24415],
        [-0.10373, 0.89842, 2.84051, 4.44801, 4.273, 3.64412],
        [2.07904, 1.26915, 0.92797, 2.70789, 5.0057, 6.22891],
        [5.30695, 3.64414, 1.62625, 1.97835, 4.3833, 6.12787],
        [6.67258, 6.06402, 4.60117, 2.91436, 2.52294, 2.73981],
        [5.07857, 4.85264, 4.0776, 2.86993, 2.31741, 2.26291],
        [3.29906, 2.27637, 1.16103, 1.69278, 3.39267, 4.53884],
        [2.17688, 0.29268, -1.36771, 0.60092, 4.42536, 6.76669],
    ],
}


@pytest.mark.parametrize("interpolation", ["lanczos3", "lanczos5"])
def test_lanczos(interpolation):
    i, j = np.mgrid[:4, :3]
    x = torch.tensor((3 * i + 5 * j) % 7, dtype=torch.float32)
    last = layers.UpSampling2D(interpolation=interpolation)(x[None, :, :, None])
    close(last[0, :, :, 0], LANCZOS[interpolation])
    first = layers.UpSampling2D(interpolation=interpolation, **FIRST)(x[None, None])
    close(first[0, 0], LANCZOS[interpolation])
    assert layers.UpSampling2D((2, 3), None, interpolation)(lamella.Input((4, None, 3))).shape == (None, 8, None, 3)


def test_whole_numbers_stay_whole_numbers(rng):
    for kind in ("uint8", "int32"):
        x = rng.integers(0, 255, (2, 4, 5, 3)).astype(kind)
        for interpolation in ("nearest", "bilinear"):
            y = layers.UpSampling2D(2, interpolation=interpolation)(torch.tensor(x))
            reference = keras.layers.UpSampling2D(2, interpolation=interpolation)(torch.tensor(x))
            assert str(y.dtype) == f"torch.{kind}"
            assert np.abs(y.numpy().astype(int) - reference.numpy().astype(int)).max() <= (interpolation != "nearest")
    steep = torch.tensor([[0, 255, 255, 0]], dtype=torch.uint8).reshape(1, 1, 4, 1)
    y = layers.UpSampling2D((1, 4), interpolation="bicubic")(steep)  # bicubic overshoots: clipped, not wrapped around
    assert y.flatten()[7] == 255 and y.flatten()[0] == 0


def test_memory_stays_in_order(rng):
    for name, arguments, shape in CASES:
        if "Cropping" in name or arguments.get("data_format") == "channels_first":
            continue
        assert getattr(layers, name)(**arguments)(
            torch.tensor(rng.normal(size=shape).astype("float32"))
        ).is_contiguous()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: layers.ZeroPadding1D(-1), "`padding` must be a whole number of 0 or more"),
        (lambda: layers.ZeroPadding2D((1, 2, 3)), r"must be a whole number, 2 of them, or 2 pairs \(before, after\)"),
        (lambda: layers.ZeroPadding3D(((1, 2), (1, 2, 3), 1)), "`padding` must be a whole number of 0 or more or"),
        (lambda: layers.ZeroPadding2D("same"), "must be a whole number, 2 of them"),
        (lambda: layers.ZeroPadding2D()(torch.ones(2, 3, 3)), "expected an input of rank 4"),
        (lambda: layers.Cropping1D(2, name="c")(torch.ones(1, 4, 1)), r"'c': `cropping` \(2, 2\) leaves nothing of"),
        (lambda: layers.Cropping2D(((0, 0), (3, 1)))(lamella.Input((9, 4, 1))), "leaves nothing of an input of size"),
        (lambda: layers.Cropping3D(1)(torch.ones(2, 9, 9, 9)), "expected an input of rank 5"),
        (lambda: layers.UpSampling1D(0), "`size` must be a positive whole number"),
        (lambda: layers.UpSampling1D((2,)), "`size` must be a positive whole number"),
        (lambda: layers.UpSampling2D((2, 0)), "`size` must be a positive whole number or a tuple with 2 of them"),
        (lambda: layers.UpSampling2D(interpolation="cubic"), "one of 'nearest', 'bilinear', 'bicubic'"),
        (lambda: layers.UpSampling3D()(torch.ones(2, 9, 9, 9)), "expected an input of rank 5"),
    ],
)
def test_errors_say_what_is_wrong(make, message):
    with pytest.raises(ValueError, match=message):
        make()
