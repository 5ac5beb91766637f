"""`lamella.engine.image` computes what `keras.ops.image` computes."""

import numpy as np
import pytest
import torch

from lamella.engine import image
from lamella.errors import ArgumentError, DTypeError, ShapeError

keras = pytest.importorskip("keras")

FORMATS = ("channels_last", "channels_first")


def pictures(rng, data_format="channels_last", shape=(3, 9, 7), dtype="float32", channels=3):
    batch, height, width = shape
    last = rng.uniform(0, 255, (batch, height, width, channels)).astype(dtype)
    return torch.tensor(last if data_format == "channels_last" else last.transpose(0, 3, 1, 2).copy())


def close(ours, theirs, tolerance=1e-4):
    assert ours.dtype == theirs.dtype
    np.testing.assert_allclose(ours.numpy(), theirs.detach().numpy(), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("data_format", FORMATS)
@pytest.mark.parametrize("name", ["rgb_to_grayscale", "rgb_to_hsv", "hsv_to_rgb"])
def test_colours(name, data_format, rng):
    x = pictures(rng, data_format) / 255
    x[0] = 0.5  # no hue
    x[1] = 0.0  # no saturation either
    close(getattr(image, name)(x, data_format), getattr(keras.ops.image, name)(x, data_format=data_format), 1e-6)
    close(getattr(image, name)(x[0], data_format), getattr(keras.ops.image, name)(x[0], data_format=data_format), 1e-6)


def test_hue_goes_round(rng):
    x = pictures(rng) / 255
    close(image.hsv_to_rgb(image.rgb_to_hsv(x)), x, 1e-5)


def test_grey_of_integers_stays_integer(rng):
    x = pictures(rng, dtype="uint8")
    close(image.rgb_to_grayscale(x), keras.ops.image.rgb_to_grayscale(x))
    close(image.rgb_to_grayscale(x[..., :1]), x[..., :1])


@pytest.mark.parametrize("data_format", FORMATS)
@pytest.mark.parametrize("dtype", ["float32", "uint8", "int32"])
@pytest.mark.parametrize("size", [(5, 4), (13, 12), (4, 15)])
@pytest.mark.parametrize(
    ("interpolation", "options"),
    [
        ("bilinear", {}),
        ("bilinear", {"antialias": True}),
        ("nearest", {"antialias": True}),
        ("bicubic", {}),
        ("bicubic", {"antialias": True}),
        ("bilinear", {"crop_to_aspect_ratio": True}),
        ("bilinear", {"pad_to_aspect_ratio": True, "fill_value": 7.0}),
    ],
)
def test_resize(interpolation, options, size, dtype, data_format, rng):
    x = pictures(rng, data_format, dtype=dtype)
    ours = image.resize(x, size, interpolation, data_format=data_format, **options)
    close(ours, keras.ops.image.resize(x, size, interpolation=interpolation, data_format=data_format, **options))
    one = image.resize(x[0], size, interpolation, data_format=data_format, **options)
    torch.testing.assert_close(one, ours[0])


@pytest.mark.parametrize("antialias", [False, True])
@pytest.mark.parametrize("method", ["lanczos3", "lanczos5"])
@pytest.mark.parametrize("size", [(5, 4), (13, 12)])
def test_resize_by_lanczos(method, size, antialias, rng):
    """Keras on torch refuses Lanczos in `resize`; its `scale_and_translate` has it, with the same meaning."""
    x = pictures(rng)
    scale = torch.tensor([size[0] / 9, size[1] / 7])
    theirs = keras.ops.image.scale_and_translate(x, (3, *size, 3), scale, torch.zeros(2), (1, 2), method, antialias)
    close(image.resize(x, size, method, antialias), theirs, 1e-3)


def transforms(rng, count):
    near = np.tile([1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0], (count, 1))
    moved = near + np.concatenate([rng.uniform(-0.4, 0.4, (count, 6)), np.zeros((count, 2))], 1)
    moved[:, [2, 5]] += rng.uniform(-6, 6, (count, 2))
    return torch.tensor(moved.astype("float32"))


@pytest.mark.parametrize("data_format", FORMATS)
@pytest.mark.parametrize("dtype", ["float32", "uint8"])
@pytest.mark.parametrize("fill_mode", ["constant", "nearest", "wrap", "mirror", "reflect"])
@pytest.mark.parametrize("interpolation", ["nearest", "bilinear"])
def test_affine_transform(interpolation, fill_mode, dtype, data_format, rng):
    x, moves = pictures(rng, data_format, dtype=dtype), transforms(rng, 3)
    ours = image.affine_transform(x, moves, interpolation, fill_mode, 11.0, data_format)
    options = {"fill_mode": fill_mode, "fill_value": 11.0, "data_format": data_format}
    close(ours, keras.ops.image.affine_transform(x, moves.clone(), interpolation, **options), 1e-3)
    one = image.affine_transform(x[1], moves[1], interpolation, fill_mode, 11.0, data_format)
    torch.testing.assert_close(one, ours[1])


def test_affine_transform_leaves_its_arguments_alone(rng):
    x, moves = pictures(rng), transforms(rng, 3)
    before = x.clone(), moves.clone()
    image.affine_transform(x, moves)
    assert torch.equal(before[0], x) and torch.equal(before[1], moves)


def test_no_move_changes_nothing(rng):
    x = pictures(rng)
    still = torch.tensor([1.0, 0, 0, 0, 1, 0, 0, 0])
    for fill_mode in image.FILL_MODES:
        assert torch.equal(image.affine_transform(x, still, "nearest", fill_mode), x)
        torch.testing.assert_close(image.affine_transform(x, still, "bilinear", fill_mode), x, rtol=0, atol=1e-3)
        whole = x.to(torch.uint8)
        assert torch.equal(image.affine_transform(whole, still, "bilinear", fill_mode), whole)


@pytest.mark.parametrize("fill_mode", image.FILL_MODES)
def test_torch_kernel_and_whole_pixels_agree(fill_mode, rng):
    """Bilinear sampling has two ways; half-precision images take the slow one, with coordinates in float32."""
    x, moves = pictures(rng) / 255, transforms(rng, 3)
    quick = image.affine_transform(x, moves, "bilinear", fill_mode, 0.5)
    slow = image.affine_transform(x.half(), moves, "bilinear", fill_mode, 0.5)
    assert slow.dtype is torch.float16
    torch.testing.assert_close(slow.float(), quick, rtol=0, atol=2e-3)
    flat = image.affine_transform(x[:, :1, :1], moves, "bilinear", fill_mode, 0.5)  # one pixel
    assert flat.isfinite().all()


@pytest.mark.parametrize("data_format", FORMATS)
@pytest.mark.parametrize("interpolation", ["nearest", "bilinear"])
def test_perspective_transform(interpolation, data_format, rng):
    x = pictures(rng, data_format)
    start = torch.tensor([[[0.0, 0.0], [6.0, 0.0], [0.0, 8.0], [6.0, 8.0]]]).repeat(3, 1, 1)
    end = start + torch.tensor(rng.uniform(-2, 2, (3, 4, 2)).astype("float32"))
    ours = image.perspective_transform(x, start, end, interpolation, 5.0, data_format)
    options = {"interpolation": interpolation, "fill_value": 5.0, "data_format": data_format}
    close(ours, keras.ops.image.perspective_transform(x, start, end, **options), 1e-2)
    matrix = keras.src.backend.torch.image.compute_homography_matrix(start, end)
    close(image.compute_homography_matrix(start, end), matrix, 1e-3)


@pytest.mark.parametrize("data_format", FORMATS)
@pytest.mark.parametrize(("size", "sigma"), [((3, 3), (1.0, 1.0)), ((5, 5), (0.5, 2.0))])
def test_gaussian_blur(size, sigma, data_format, rng):
    x = pictures(rng, data_format)
    theirs = keras.ops.image.gaussian_blur(x, kernel_size=size, sigma=sigma, data_format=data_format)
    close(image.gaussian_blur(x, size, sigma, data_format), theirs, 1e-3)


def test_gaussian_blur_of_another_height_than_width_keeps_the_shape(rng):
    x = torch.zeros(1, 9, 9, 1)
    x[0, 4, 4] = 1.0
    blurred = image.gaussian_blur(x, (1, 5), (1.0, 1.0))
    assert blurred.shape == x.shape
    assert set(blurred.nonzero()[:, 1].tolist()) == {4} and set(blurred.nonzero()[:, 2].tolist()) == {2, 3, 4, 5, 6}


@pytest.mark.parametrize("data_format", FORMATS)
@pytest.mark.parametrize("fill_mode", ["constant", "reflect"])
@pytest.mark.parametrize("interpolation", ["nearest", "bilinear"])
def test_elastic_transform(interpolation, fill_mode, data_format, rng):
    x = pictures(rng, data_format)
    options = {"alpha": 2.0, "sigma": 1.5, "interpolation": interpolation, "fill_mode": fill_mode}
    torch.manual_seed(3)
    theirs = keras.ops.image.elastic_transform(x, seed=1, data_format=data_format, **options)
    torch.manual_seed(3)
    noise = torch.stack([torch.normal(0.0, 1.0, (3, 9, 7)) for _ in range(2)])
    close(image.elastic_transform(x, data_format=data_format, noise=noise, **options), theirs, 1e-2)
    seeded = [image.elastic_transform(x, generator=torch.Generator().manual_seed(s)) for s in (1, 1, 2)]
    assert torch.equal(seeded[0], seeded[1]) and not torch.equal(seeded[0], seeded[2])


def test_gradients_flow_through_sampling():
    x = torch.rand(2, 5, 5, 2, dtype=torch.float64, requires_grad=True)
    moves = torch.tensor(
        [[1.0913, 0.1171, 0.2937, -0.0931, 0.9127, 0.2219, 0, 0]] * 2, dtype=torch.float64, requires_grad=True
    )
    assert torch.autograd.gradcheck(lambda a, b: image.affine_transform(a, b, fill_mode="reflect"), (x, moves))


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: image.resize(torch.ones(4, 4), (2, 2)), ShapeError, "rank 3"),
        (lambda: image.resize(torch.ones(4, 4, 3), (2, 2), "linear"), ArgumentError, "'linear'"),
        (lambda: image.resize(torch.ones(4, 4, 3), (2, 2), fill_mode="wrap"), ArgumentError, "'wrap'"),
        (lambda: image.resize(torch.ones(4, 4, 3), (2,)), ArgumentError, "height, width"),
        (
            lambda: image.resize(torch.ones(4, 4, 3), (2, 2), crop_to_aspect_ratio=True, pad_to_aspect_ratio=True),
            ArgumentError,
            "Only one",
        ),
        (lambda: image.rgb_to_hsv(torch.ones(4, 4, 3, dtype=torch.uint8)), DTypeError, "Cast"),
        (lambda: image.rgb_to_hsv(torch.ones(4, 4, 4)), ShapeError, "3 channels"),
        (lambda: image.affine_transform(torch.ones(4, 4, 4), torch.ones(6)), ShapeError, "8 numbers"),
        (lambda: image.affine_transform(torch.ones(4, 4, 4), torch.ones(8), "cubic"), ArgumentError, "'cubic'"),
        (lambda: image.affine_transform(torch.ones(4, 4, 4), torch.ones(8), fill_mode="x"), ArgumentError, "'x'"),
        (lambda: image.perspective_transform(torch.ones(4, 4, 4), torch.ones(8), torch.ones(8)), ShapeError, "4, 2"),
    ],
)
def test_mistakes_are_told(call, error, words):
    with pytest.raises(error, match=words):
        call()
