"""U-Net: its size by the paper, pictures of any size, files that Keras opens, and that it learns."""

import fresh
import numpy as np
import pytest
import torch

import lamella
from lamella.datasets import shapes
from lamella.errors import ArgumentError
from lamella.vision.segmentation_loss import DiceCrossEntropy
from lamella.vision.unet import UNet

RNG = np.random.default_rng(0)


def weights_by_the_paper(channels, classes, depth, filters, normalized=False, up="transpose"):
    """Weights of 3x3 convolutions in pairs, of 2x2 (or 1x1) ones that halve the channels, and of the last 1x1 one."""

    def pair(into, out):
        return sum(9 * a * out + (4 * out if normalized else out) for a in (into, out))

    widths = [filters * 2**level for level in range(depth + 1)]
    down = sum(pair(a, b) for a, b in zip([channels, *widths], widths, strict=False))
    taps = 4 if up == "transpose" else 1
    wider = sum(taps * 2 * w * w + w + pair(2 * w, w) for w in widths[:-1])
    return down + wider + filters * classes + classes


@pytest.mark.parametrize("normalized", [False, True])
@pytest.mark.parametrize("up", ["transpose", "resize"])
@pytest.mark.parametrize(("channels", "classes", "depth", "filters"), [(1, 2, 4, 8), (3, 1, 3, 4), (3, 5, 1, 4)])
def test_the_number_of_weights(channels, classes, depth, filters, normalized, up):
    model = UNet(classes, (None, None, channels), depth, filters, normalized, up=up)
    assert model.count_params() == weights_by_the_paper(channels, classes, depth, filters, normalized, up)


def test_the_network_of_the_paper():
    model = UNet(2, (None, None, 1), batch_normalization=False, dropout=0.5)
    kinds = [type(layer).__name__ for layer in model.layers]
    assert sum(kind.startswith("Conv2D") for kind in kinds) == 23  # as the paper counts
    assert kinds.count("MaxPooling2D") == kinds.count("Concatenate") == 4
    assert kinds.count("Dropout") == 2
    assert model.count_params() == weights_by_the_paper(1, 2, 4, 64)
    assert model.get_layer("bottom_conv2").filters == 1024


@pytest.mark.parametrize("size", [(1, 1), (16, 24), (17, 30), (3, 50)])
@pytest.mark.parametrize("up", ["transpose", "resize"])
def test_pictures_of_any_size(size, up):
    model = UNet(3, depth=3, filters=4, up=up)
    p = model.predict(RNG.integers(0, 256, (2, *size, 3)).astype("uint8"), verbose=0)
    assert p.shape == (2, *size, 3) and p.sum(-1) == pytest.approx(np.ones((2, *size)), abs=1e-5)
    fixed = UNet(3, (*size, 3), depth=3, filters=4, up=up)
    assert fixed.output_shape == (None, *size, 3)


def test_fixed_and_free_sizes_compute_the_same():
    free, fixed = UNet(depth=2, filters=4), UNet(input_shape=(16, 20, 3), depth=2, filters=4)
    fixed.set_weights(free.get_weights())
    x = RNG.uniform(0, 255, (2, 16, 20, 3)).astype("float32")
    assert fixed.predict(x, verbose=0) == pytest.approx(free.predict(x, verbose=0), abs=1e-6)


@pytest.mark.parametrize(
    ("classes", "activation", "name"), [(1, "auto", "sigmoid"), (3, "auto", "softmax"), (3, None, "linear")]
)
def test_what_the_outputs_are(classes, activation, name):
    model = UNet(classes, depth=1, filters=4, classifier_activation=activation)
    x = torch.rand(1, 8, 8, 3) * 255
    last = model.get_layer("classes")
    logits = torch.einsum("bhwc,cd->bhwd", lamella.Model(model.inputs, last.input)(x), last.kernel[0, 0]) + last.bias
    expected = {"sigmoid": torch.sigmoid, "softmax": lambda z: z.softmax(-1), "linear": lambda z: z}[name](logits)
    assert model(x).detach().numpy() == pytest.approx(expected.detach().numpy(), abs=1e-5)


def test_rescaling_is_inside_unless_left_out():
    inside, outside = UNet(depth=1, filters=4), UNet(depth=1, filters=4, include_rescaling=False)
    outside.set_weights(inside.get_weights())
    x = RNG.uniform(0, 255, (1, 8, 8, 3)).astype("float32")
    assert inside.predict(x, verbose=0) == pytest.approx(outside.predict(x / 255, verbose=0), abs=1e-5)


@pytest.mark.parametrize("up", ["transpose", "resize"])
def test_files_go_both_ways_with_keras(tmp_path, up):
    keras = pytest.importorskip("keras")
    model = UNet(3, (32, 32, 3), depth=2, filters=4, dropout=0.2, up=up)
    model.set_weights([RNG.uniform(0.1, 0.9, w.shape) for w in model.get_weights()])
    x = RNG.uniform(0, 255, (2, 32, 32, 3)).astype("float32")
    model.save(tmp_path / "ours.keras")
    theirs = keras.models.load_model(tmp_path / "ours.keras")
    assert theirs.predict(x, verbose=0) == pytest.approx(model.predict(x, verbose=0), abs=1e-4)
    assert [layer.name for layer in theirs.layers] == [layer.name for layer in model.layers]
    theirs.set_weights([w * 0.9 for w in theirs.get_weights()])
    theirs.save(tmp_path / "theirs.keras")
    theirs.save_weights(tmp_path / "theirs.weights.h5")
    again = lamella.models.load_model(tmp_path / "theirs.keras")
    free = UNet(3, depth=2, filters=4, dropout=0.2, up=up)
    free.load_weights(tmp_path / "theirs.weights.h5")
    for each in (again, free):
        assert each.predict(x, verbose=0) == pytest.approx(theirs.predict(x, verbose=0), abs=1e-4)


def test_a_model_for_any_size_is_opened_by_a_fresh_process(tmp_path):
    model = UNet(2, depth=1, filters=4)
    model.compile("adam", DiceCrossEntropy())
    x = RNG.uniform(0, 255, (1, 9, 11, 3)).astype("float32")
    model.save(tmp_path / "model.keras")
    np.save(tmp_path / "x.npy", x)
    script = (
        "import sys, numpy as np, lamella\n"
        "model = lamella.models.load_model(sys.argv[1] + '/model.keras')\n"
        "assert type(model.loss).__name__ == 'DiceCrossEntropy'\n"
        "np.save(sys.argv[1] + '/y.npy', model.predict(np.load(sys.argv[1] + '/x.npy'), verbose=0))\n"
    )
    fresh.check(["-c", script, tmp_path])
    assert np.load(tmp_path / "y.npy") == pytest.approx(model.predict(x, verbose=0), abs=1e-6)


def test_it_learns_a_few_pictures_by_heart():
    lamella.utils.set_random_seed(0)
    (x, masks), _ = shapes.load_data(num_train=4, num_test=0, size=(32, 32), max_shapes=2)
    model = UNet(4, (32, 32, 3), depth=2, filters=8, classifier_activation=None)
    model.compile(lamella.optimizers.Adam(0.01), DiceCrossEntropy(from_logits=True))
    model.fit(x, masks, epochs=60, batch_size=4, verbose=0)
    found = model.predict(x, verbose=0).argmax(-1)
    iou = lamella.metrics.MeanIoU(4)
    iou.update_state(masks, found)
    assert float(iou.result()) > 0.9


def test_one_output_learns_by_binary_cross_entropy():
    lamella.utils.set_random_seed(0)
    (x, masks), _ = shapes.load_data(num_train=4, num_test=0, size=(32, 32), max_shapes=2)
    model = UNet(depth=2, filters=8)
    model.compile(lamella.optimizers.Adam(0.01), "binary_crossentropy", metrics=["binary_accuracy"])
    history = model.fit(x, (masks > 0)[..., None], epochs=30, batch_size=4, verbose=0).history
    assert history["binary_accuracy"][-1] > 0.97 and history["loss"][-1] < 0.3 * history["loss"][0]


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"num_classes": 0}, "`num_classes` must be a whole number, 1 or more; got 0"),
        ({"depth": 0}, "`depth` must be"),
        ({"filters": 2.5}, "`filters` must be"),
        ({"input_shape": (32, 32)}, r"`input_shape` must be \(height, width, channels\)"),
        ({"input_shape": (32, 32, None)}, r"`input_shape` must be"),
        ({"dropout": 1.0}, "`dropout` must be 0 or more and below 1; got 1.0"),
        ({"up": "unpool"}, "'transpose' or 'resize'; got 'unpool'"),
    ],
)
def test_bad_arguments(kwargs, message):
    with pytest.raises(ArgumentError, match=message):
        UNet(**kwargs)
