"""Images in files and arrays, and boxes in images, as real Keras has them."""

import io

import numpy as np
import pytest
import torch
from PIL import Image

import lamella
from lamella import utils
from lamella.errors import ArgumentError, ShapeError
from lamella.utils import bounding_boxes

keras = pytest.importorskip("keras")
theirs = keras.utils.bounding_boxes


@pytest.fixture
def photo(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (10, 14, 3), dtype="uint8")
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


@pytest.mark.parametrize("mode", ["rgb", "rgba", "grayscale"])
@pytest.mark.parametrize("size", [None, (5, 4), (20, 6)])
@pytest.mark.parametrize("interpolation", ["nearest", "bilinear", "bicubic", "lanczos", "box", "hamming"])
@pytest.mark.parametrize("keep", [False, True])
def test_load_img_as_in_keras(photo, mode, size, interpolation, keep):
    arguments = {"color_mode": mode, "target_size": size, "interpolation": interpolation, "keep_aspect_ratio": keep}
    ours, reference = utils.load_img(photo, **arguments), keras.utils.load_img(photo, **arguments)
    np.testing.assert_array_equal(utils.img_to_array(ours), keras.utils.img_to_array(reference))


def test_load_img_from_bytes_and_refusals(photo):
    assert utils.load_img(io.BytesIO(photo.read_bytes())).size == (14, 10)
    with pytest.raises(ArgumentError, match="color_mode"):
        utils.load_img(photo, color_mode="bgr")
    with pytest.raises(ArgumentError, match="interpolation"):
        utils.load_img(photo, target_size=(2, 2), interpolation="cubic")
    with pytest.raises(TypeError, match="BytesIO"):
        utils.load_img(7)
    with pytest.raises(FileNotFoundError):
        utils.load_img(photo.parent / "none.png")


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
@pytest.mark.parametrize("scale", [True, False])
def test_arrays_as_in_keras(channels, data_format, scale, rng):
    x = rng.uniform(0, 200, (5, 7, channels))
    x = x.transpose(2, 0, 1) if data_format == "channels_first" else x
    ours = utils.array_to_img(x, data_format, scale)
    reference = keras.utils.array_to_img(x, data_format, scale)
    assert ours.mode == reference.mode
    np.testing.assert_array_equal(np.asarray(ours), np.asarray(reference))
    np.testing.assert_array_equal(
        utils.img_to_array(ours, data_format, "float16"), keras.utils.img_to_array(reference, data_format, "float16")
    )


@pytest.mark.parametrize("ending", ["png", "jpg", "bmp"])
def test_save_img_as_in_keras(tmp_path, ending, rng):
    x = rng.uniform(0, 1, (6, 6, 3))
    utils.save_img(tmp_path / f"ours.{ending}", torch.tensor(x))
    keras.utils.save_img(tmp_path / f"theirs.{ending}", x)
    assert (tmp_path / f"ours.{ending}").read_bytes() == (tmp_path / f"theirs.{ending}").read_bytes()


def test_save_img_drops_transparency_for_jpeg(tmp_path, rng):
    with pytest.warns(UserWarning, match="no transparency"):
        utils.save_img(tmp_path / "a.jpg", rng.uniform(0, 1, (6, 6, 4)))
    with Image.open(tmp_path / "a.jpg") as saved:
        assert saved.mode == "RGB"


def test_shapes_that_are_no_image():
    for shape in ((3, 3), (2, 3, 3, 3), (4, 4, 2)):
        with pytest.raises(ShapeError, match="array_to_img"):
            utils.array_to_img(np.zeros(shape))
    with pytest.raises(ShapeError, match="img_to_array"):
        utils.img_to_array(np.zeros((1, 2, 3, 3)))
    with pytest.raises(ArgumentError, match="data_format"):
        utils.array_to_img(np.zeros((3, 3, 3)), "channels_middle")


def test_without_pillow_the_error_says_so(monkeypatch, photo):
    monkeypatch.setitem(__import__("sys").modules, "PIL", None)
    with pytest.raises(ImportError, match="pip install pillow"):
        utils.load_img(photo)


@pytest.mark.parametrize("shape", [(10, 20, 3), (2, 20, 10, 3), (9, 9, 1)])
@pytest.mark.parametrize("size", [(5, 5), (4, 8)])
def test_smart_resize_as_in_keras(shape, size, rng):
    x = rng.uniform(0, 255, shape).astype("float32")
    ours = lamella.preprocessing.image.smart_resize(x, size)
    assert isinstance(ours, np.ndarray)
    with keras.device("cpu"):
        np.testing.assert_allclose(ours, keras.preprocessing.image.smart_resize(x, size), atol=1e-3)


BOXES = np.array([[[1, 2, 6, 8], [0, 0, 3, 3], [-2, 1, 20, 30]], [[4, 4, 5, 9], [2, 1, 8, 7], [0, 0, 0, 0]]], "float32")
OTHERS = BOXES[:, ::-1] + np.float32(0.7)


def same(ours, reference, tolerance=1e-5):
    np.testing.assert_allclose(np.asarray(ours), np.asarray(reference.detach().cpu()), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("source", bounding_boxes.FORMATS)
@pytest.mark.parametrize("target", bounding_boxes.FORMATS)
def test_formats_as_in_keras(source, target):
    same(
        bounding_boxes.convert_format(BOXES, source, target, height=10, width=16),
        theirs.convert_format(torch.tensor(BOXES), source, target, height=10, width=16),
    )


def test_box_dicts_and_refusals():
    boxes = {"boxes": torch.tensor(BOXES), "labels": torch.ones(2, 3)}
    assert bounding_boxes.convert_format(boxes, "xyxy", "xywh")["boxes"][0, 0].tolist() == [1, 2, 5, 6]
    with pytest.raises(ArgumentError, match="source"):
        bounding_boxes.convert_format(BOXES, "corners", "xyxy")
    with pytest.raises(ArgumentError, match="height"):
        bounding_boxes.convert_format(BOXES, "xyxy", "rel_xyxy")
    with pytest.raises(ShapeError, match="last dimension of 4"):
        bounding_boxes.convert_format(BOXES[..., :3], "xyxy", "xywh")


def test_cutting_and_moving_as_in_keras():
    for box_format, divisor in (("xyxy", 1), ("rel_xyxy", 10)):
        given = {"boxes": torch.tensor(BOXES) / divisor, "labels": torch.tensor([[1, 2, 3], [4, 5, 6]])}
        arguments = {"height": 7, "width": 6, "bounding_box_format": box_format}
        ours = bounding_boxes.clip_to_image_size(given, **arguments)
        reference = theirs.clip_to_image_size(dict(given), **arguments)
        same(ours["boxes"], reference["boxes"])
        assert ours["labels"].tolist() == reference["labels"].tolist()
    boxes = torch.tensor(BOXES)
    same(bounding_boxes.crop(boxes, 2, 1, 5, 4), theirs.crop(boxes, 2, 1, 5, 4))
    same(bounding_boxes.pad(boxes, 2, 1), theirs.pad(boxes, 2, 1))
    with pytest.raises(NotImplementedError, match="convert_format"):
        bounding_boxes.pad(boxes, 2, 1, bounding_box_format="xywh")


@pytest.mark.parametrize("center", [(None, None), (0.2, 0.7)])
def test_affine_as_in_keras(center, rng):
    angle, shear_x, shear_y = (torch.tensor(rng.uniform(-30, 30, 2), dtype=torch.float32) for _ in range(3))
    x, y = (torch.tensor(rng.uniform(-0.3, 0.3, 2), dtype=torch.float32) for _ in range(2))
    scale = torch.tensor([0.8, 1.3])
    arguments = (torch.tensor(BOXES), angle, x, y, scale, shear_x, shear_y, 12, 17, *center)
    same(bounding_boxes.affine_transform(*arguments), theirs.affine_transform(*arguments), 1e-4)


@pytest.mark.parametrize("encoding", ["center_xywh", "center_yxhw"])
@pytest.mark.parametrize("variance", [None, [0.1, 0.1, 0.2, 0.2]])
def test_offsets_as_in_keras_and_back(encoding, variance):
    anchors, boxes = (
        np.abs(BOXES) + np.array([0, 0, 3, 3], "float32"),
        np.abs(OTHERS) + np.array([0, 0, 9, 9], "float32"),
    )
    ours = bounding_boxes.encode_box_to_deltas(anchors, boxes, "xyxy", "xywh", encoding, variance)
    reference = theirs.encode_box_to_deltas(
        torch.tensor(anchors), torch.tensor(boxes), "xyxy", "xywh", encoding, variance
    )
    same(ours, reference)
    back = bounding_boxes.decode_deltas_to_boxes(anchors, ours, "xyxy", "xywh", encoding, variance)
    np.testing.assert_allclose(back, boxes, rtol=1e-4, atol=1e-4)
    levels = bounding_boxes.decode_deltas_to_boxes({"a": anchors}, {"a": ours}, "xyxy", "xywh", encoding, variance)
    assert torch.equal(levels["a"], back)
    with pytest.raises(ArgumentError, match="4 numbers"):
        bounding_boxes.encode_box_to_deltas(anchors, boxes, "xyxy", "xywh", encoding, [1.0])


@pytest.mark.parametrize("masking", [False, True])
@pytest.mark.parametrize("box_format", ["xyxy", "xywh", "rel_yxyx"])
def test_iou_as_in_keras(masking, box_format):
    arguments = {"use_masking": masking, "mask_val": -3, "image_shape": (10, 16, 3)}
    a, b = BOXES.copy(), OTHERS[:, :2].copy()
    a[0, 1] = -1
    for one, other in ((a, b), (a[0], b[0])):
        ours = bounding_boxes.compute_iou(one, other, box_format, **arguments)
        same(
            ours[..., : ours.shape[-1]],
            theirs.compute_iou(torch.tensor(one), torch.tensor(other), box_format, **arguments),
        )


def test_ciou_as_in_keras():
    same(
        bounding_boxes.compute_ciou(BOXES, OTHERS, "xyxy"),
        theirs.compute_ciou(torch.tensor(BOXES), torch.tensor(OTHERS), "xyxy"),
        1e-4,
    )
