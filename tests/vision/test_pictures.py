"""Pictures of all kinds as bytes, and fitted into a size."""

import io

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from lamella.errors import ArgumentError, DataError, ShapeError
from lamella.vision.pictures import letterbox, read_image, resize


@pytest.fixture
def rgb():
    return np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)


def encoded(image, kind="PNG", **kwargs):
    stream = io.BytesIO()
    image.save(stream, kind, **kwargs)
    return stream.getvalue()


def test_every_kind_of_source_gives_the_same(rgb, tmp_path):
    file = tmp_path / "a.png"
    Image.fromarray(rgb).save(file)
    with file.open("rb") as opened:
        assert np.array_equal(read_image(opened), rgb)
    sources = file, str(file), file.read_bytes(), Image.open(file), rgb, torch.from_numpy(rgb), rgb.astype("float32")
    for source in (*sources, rgb.astype("int64")):
        found = read_image(source)
        assert found.dtype == np.uint8 and np.array_equal(found, rgb)


@pytest.mark.parametrize("mode", ["L", "1", "P", "CMYK", "YCbCr", "LA", "RGBA", "PA", "HSV"])
def test_modes_become_colour_or_grey(rgb, mode):
    image = Image.fromarray(rgb).convert("RGB")
    image = image.convert("P").convert("PA") if mode == "PA" else image.convert(mode)
    expected = np.asarray(image.convert("RGB")).astype(int)
    assert np.abs(read_image(image) - expected).max() <= 1
    assert read_image(image, channels=1).shape == (20, 30, 1)


def test_what_is_transparent_is_white(rgb):
    alpha = np.random.default_rng(1).integers(0, 256, (20, 30, 1), dtype=np.uint8)
    share = alpha / 255
    expected = rgb * share + 255 * (1 - share)
    found = read_image(encoded(Image.fromarray(np.concatenate([rgb, alpha], 2))))
    assert np.abs(found - expected).max() <= 1
    palette = Image.new("P", (2, 1))
    palette.putpalette([10, 20, 30, 40, 50, 60])
    palette.putdata([0, 1])
    assert read_image(encoded(palette, transparency=0)).tolist() == [[[255, 255, 255], [40, 50, 60]]]


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "PPM"])
def test_sixteen_bits_are_scaled_and_not_cut_off(kind):
    values = np.linspace(0, 65535, 600).astype("uint16").reshape(20, 30)
    expected = np.rint(values / 257)
    found = read_image(encoded(Image.fromarray(values), kind), channels=1)[..., 0]
    assert np.array_equal(found, expected)
    assert np.array_equal(read_image(values)[..., 2], expected)


def test_32_bit_files_are_refused():
    for kind in ("int32", "float32"):
        with pytest.raises(DataError, match="32-bit"):
            read_image(encoded(Image.fromarray(np.ones((4, 4), kind)), "TIFF"))


@pytest.mark.parametrize(
    ("orientation", "turned"),
    [
        (1, lambda a: a),
        (2, np.fliplr),
        (3, lambda a: np.rot90(a, 2)),
        (4, np.flipud),
        (5, lambda a: a.transpose(1, 0, 2)),
        (6, lambda a: np.rot90(a, -1)),
        (7, lambda a: np.rot90(a, 2).transpose(1, 0, 2)),
        (8, np.rot90),
    ],
)
def test_exif_orientation_is_applied(rgb, orientation, turned):
    exif = Image.Exif()
    exif[0x0112] = orientation
    assert np.array_equal(read_image(encoded(Image.fromarray(rgb), exif=exif)), turned(rgb))
    deep = Image.fromarray(rgb[..., 0].astype("uint16") * 257)
    assert np.array_equal(read_image(encoded(deep, exif=exif), 1), turned(rgb[..., :1]))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "WEBP", "TIFF", "BMP"])
def test_damaged_files_are_named(rgb, kind, tmp_path):
    data = encoded(Image.fromarray(rgb).resize((200, 100)), kind)
    for name, content in (("cut", data[: len(data) // 2]), ("empty", b""), ("text", b"not a picture" * 99)):
        file = tmp_path / f"{name}.{kind}"
        file.write_bytes(content)
        with pytest.raises(DataError, match=f"{name}.{kind}"):
            read_image(file)


def test_missing_files_and_folders_are_named(tmp_path):
    for path in (tmp_path / "gone.png", tmp_path):
        with pytest.raises(DataError, match=f"{path}: there is no such file"):
            read_image(path)


@pytest.mark.parametrize("limit", [599, 200])  # Pillow warns above the first, and refuses twice the second
def test_decompression_bombs_are_refused(rgb, monkeypatch, tmp_path, limit):
    Image.fromarray(rgb).save(tmp_path / "bomb.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
    with pytest.raises(DataError, match=r"bomb\.png"):
        read_image(tmp_path / "bomb.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    assert read_image(tmp_path / "bomb.png").shape == rgb.shape


@pytest.mark.parametrize(
    "wrong", [np.full((4, 4, 3), np.nan), np.full((4, 4), -1), np.full((4, 4), 256.0), np.zeros((4, 4), complex)]
)
def test_arrays_of_wrong_values_are_refused(wrong):
    with pytest.raises(DataError, match="picture"):
        read_image(wrong)


@pytest.mark.parametrize("shape", [(4,), (3, 20, 30), (1, 4, 4, 3), (0, 4, 3), (4, 4, 2)])
def test_arrays_of_wrong_shape_are_refused(shape):
    with pytest.raises(ShapeError, match="height, width"):
        read_image(np.zeros(shape, "uint8"))


def test_other_arguments_are_refused():
    with pytest.raises(ArgumentError, match="channels"):
        read_image(np.zeros((4, 4), "uint8"), channels=4)
    with pytest.raises(DataError, match="got list"):
        read_image([1, 2])
    with pytest.raises(ArgumentError, match=r"\(height, width\)"):
        letterbox(np.zeros((4, 4, 3), "uint8"), (0, 4))


def test_booleans_are_black_and_white():
    assert read_image(np.eye(2, dtype=bool), 1)[..., 0].tolist() == [[255, 0], [0, 255]]


def test_shrinking_averages():
    checks = np.indices((64, 64)).sum(0)[..., None] % 2 * np.full(3, 200)
    found = resize(checks.astype("uint8"), (16, 16))
    assert np.abs(found.astype(int) - 100).max() <= 3  # nearest or plain bilinear would give 0 or 200


def test_a_picture_of_the_right_size_stays_as_it_is(rgb):
    found, scale, corner = letterbox(rgb, (20, 30))
    assert np.array_equal(found, rgb) and scale == 1 and corner == (0, 0)


@settings(max_examples=60, deadline=None)
@given(st.integers(20, 90), st.integers(20, 90), st.integers(20, 90), st.integers(20, 90), st.booleans())
def test_points_come_where_letterbox_says(height, width, to_height, to_width, grey):
    picture = Image.new("RGB", (width, height), (250, 250, 250))
    box = np.array([width * 0.25, height * 0.25, width * 0.75, height * 0.75]).round()
    ImageDraw.Draw(picture).rectangle((*box[:2], *(box[2:] - 1)), fill=(0, 0, 0))
    image = read_image(picture, 1 if grey else 3)
    found, scale, (top, left) = letterbox(image, (to_height, to_width), fill=251)
    assert found.shape == (to_height, to_width, image.shape[2])
    dark = np.argwhere(found[..., 0] < 125)
    extent = np.concatenate([dark.min(0)[::-1], dark.max(0)[::-1] + 1])
    assert np.abs(extent - (box * scale + np.array([left, top, left, top]))).max() <= 1
    frame = found[..., 0] == 251
    inside = ~frame
    assert inside.any(1).sum() == pytest.approx(height * scale, abs=0.51)
    assert inside.any(0).sum() == pytest.approx(width * scale, abs=0.51)
    assert min(to_height - inside.any(1).sum(), to_width - inside.any(0).sum()) == 0
    for axis in (0, 1):
        there = np.flatnonzero(inside.any(axis))
        before, after = there[0], inside.shape[1 - axis] - 1 - there[-1]
        assert 0 <= after - before <= 1
