"""What holds for every image layer: inference, seeds, shapes, one image or many, models, copies, mistakes."""

import copy
import inspect
import pickle

import numpy as np
import pytest
import torch
from image_cases import EVERY, FORMATS, pictures, top_of

import lamella
from lamella import layers
from lamella.errors import ArgumentError, ShapeError

SIZED = ("Resizing", "CenterCrop", "RandomCrop")
NOT_RANDOM = (*SIZED, "AutoContrast", "ContrastLimitedAdaptiveHistogramEqualization", "MaxNumBoundingBoxes")
SEEDED = [c for c in EVERY if c[0] not in NOT_RANDOM or c[0] == "RandomCrop"]
SEEDED = [c for c in SEEDED if c[0] != "Equalization" and c != ("RandomColorJitter", {}) and c != ("Solarization", {})]
SEEDED = [c for c in SEEDED if c[1].get("factor") not in [(f, f) for f in (0.3, 0.9, 1.0, 3)]]  # a fixed change


def made(name, arguments, **more):
    return getattr(layers, name)(**arguments, **more)


@pytest.mark.parametrize("dtype", ["float32", "uint8"])
@pytest.mark.parametrize(("name", "arguments"), EVERY)
def test_inference_changes_nothing(name, arguments, dtype, rng):
    layer, x = made(name, arguments), pictures(rng, top=top_of(arguments), dtype=dtype)
    result = layer(x, training=False)
    if name not in NOT_RANDOM:
        assert torch.equal(result.float(), x.float())
    assert result.dtype is layer(x, training=True).dtype
    assert torch.equal(layer.eval()(x), result)


@pytest.mark.parametrize(("name", "arguments"), SEEDED)
def test_a_seed_gives_the_same_sequence_and_each_call_another_result(name, arguments, rng):
    x = pictures(rng, top=top_of(arguments), shape=(6, 30, 24))
    one, same, other = (made(name, arguments, seed=seed) for seed in (11, 11, 12))
    first = [[layer(x, training=True) for _ in range(6)] for layer in (one, same, other)]
    assert all(map(torch.equal, first[0], first[1]))
    assert not all(map(torch.equal, first[0], first[2]))
    assert not all(torch.equal(first[0][0], result) for result in first[0][1:])


@pytest.mark.parametrize(("name", "arguments"), SEEDED)
def test_set_random_seed_fixes_layers_without_a_seed(name, arguments, rng):
    x = pictures(rng, top=top_of(arguments), shape=(6, 30, 24))
    runs = []
    for _ in range(2):
        lamella.utils.set_random_seed(4)
        runs.append(made(name, arguments)(x, training=True))
    assert torch.equal(*runs)


@pytest.mark.parametrize("data_format", FORMATS)
@pytest.mark.parametrize(("name", "arguments"), EVERY)
def test_one_image_is_a_batch_of_one(name, arguments, data_format, rng):
    x = pictures(rng, data_format, top_of(arguments))
    seed = {"seed": 5} if "seed" in inspect.signature(getattr(layers, name).__init__).parameters else {}
    one, batch = (made(name, arguments, data_format=data_format, **seed) for _ in range(2))
    assert torch.equal(one(x[0], training=True), batch(x[:1], training=True)[0])


@pytest.mark.parametrize("data_format", FORMATS)
@pytest.mark.parametrize(("name", "arguments"), EVERY)
def test_the_symbolic_shape_is_the_real_one(name, arguments, data_format, rng):
    layer, x = made(name, arguments, data_format=data_format), pictures(rng, data_format, top_of(arguments))
    real = layer(x, training=True)
    open_shape = (None, None, None, 3) if data_format == "channels_last" else (None, 3, None, None)
    symbolic = layer.compute_output_shape(open_shape)
    assert all(a is None or a == b for a, b in zip(symbolic, real.shape, strict=True))
    assert tuple(layer.compute_output_shape(tuple(x.shape))) == tuple(real.shape)
    if name in SIZED:
        assert symbolic.count(None) == 1


@pytest.mark.parametrize(("name", "arguments"), EVERY)
def test_labels_and_masks_come_along(name, arguments, rng):
    layer, x = made(name, arguments), pictures(rng, top=top_of(arguments))
    data = {"images": x, "labels": torch.eye(4), "segmentation_masks": torch.ones(4, 9, 8, 1), "id": torch.arange(4)}
    before = copy.deepcopy(data)
    for training in (True, False):
        out = layer(data, training=training)
        assert set(out) == set(data)
        assert out["segmentation_masks"].shape[:3] == out["images"].shape[:3]
        torch.testing.assert_close(out["labels"].sum(1), torch.ones(4))
        assert torch.equal(out["id"], data["id"])
    assert all(torch.equal(data[key], before[key]) for key in data)


@pytest.mark.parametrize(("name", "arguments"), EVERY)
def test_in_a_model_that_is_trained(name, arguments, rng):
    """The model decides: it changes images while it trains, and not in predictions."""
    lamella.utils.set_random_seed(1)
    layer = made(name, arguments)
    model = lamella.Sequential([layers.Input((9, 8, 3)), layer, layers.Flatten(), layers.Dense(2)])
    model.compile(optimizer=lamella.optimizers.SGD(1e-7), loss="mse")
    x = pictures(rng, top=top_of(arguments), shape=(12, 9, 8)).numpy()
    history = model.fit(x / 255, np.zeros((12, 2)), batch_size=4, epochs=2, verbose=0)
    assert np.isfinite(history.history["loss"]).all()
    assert np.array_equal(model.predict(x, verbose=0), model.predict(x, verbose=0))
    np.testing.assert_allclose(model(x).detach(), model.predict(x, verbose=0, batch_size=12), rtol=1e-3, atol=1e-2)


def test_every_step_of_a_small_model_is_changed_anew(rng):
    """Steps that are recorded and played must not repeat the first random numbers."""
    seen = []

    class Seen(layers.Layer):
        def call(self, inputs):
            if self.training:
                seen.append(inputs.detach().clone())
            return inputs

    model = lamella.Sequential(
        [
            layers.Input((4, 4, 1)),
            layers.RandomFlip(),
            layers.RandomRotation(0.5),
            Seen(),
            layers.Flatten(),
            layers.Dense(1),
        ]
    )
    model.compile(optimizer="sgd", loss="mse")
    x = np.tile(rng.uniform(size=(1, 4, 4, 1)).astype("float32"), (40, 1, 1, 1))
    model.fit(x, np.zeros((40, 1)), batch_size=4, epochs=1, verbose=0)
    assert len({tuple(batch.flatten().tolist()) for batch in seen}) == len(seen) > 2


def test_by_hand_a_layer_changes_images_unless_told_otherwise(rng):
    x = pictures(rng)
    layer = layers.RandomBrightness((0.2, 0.2))
    assert not torch.equal(layer(x), x)
    assert torch.equal(layer(x, training=False), x)
    assert torch.equal(layers.RandomBrightness((0.2, 0.2)).eval()(x), x)


def test_inside_of_a_model_or_layer_the_outer_one_decides(rng):
    x = pictures(rng)

    class Own(lamella.Model):
        def __init__(self):
            super().__init__()
            self.change = layers.RandomBrightness((0.2, 0.2))

        def call(self, inputs):
            return self.change(inputs)

    inputs = layers.Input((9, 8, 3))
    for model in (
        Own(),
        lamella.Sequential([layers.RandomBrightness((0.2, 0.2))]),
        lamella.Model(inputs, layers.RandomBrightness((0.2, 0.2))(inputs)),
    ):
        assert torch.equal(model(x), x)
        assert not torch.equal(model(x, training=True), x)
        assert np.array_equal(model.predict(x.numpy(), verbose=0), x)


@pytest.mark.parametrize(("name", "arguments"), EVERY)
def test_copies_go_on_by_themselves(name, arguments, rng):
    layer, x = made(name, arguments), pictures(rng, top=top_of(arguments))
    layer(x, training=True)
    for twin in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert twin(x, training=True).shape == layer(x, training=True).shape
    assert layer.get_weights() == [] and layer.count_params() == 0


def test_the_layer_of_a_seed_can_be_copied(rng):
    x, layer = pictures(rng), layers.RandomFlip(seed=3)
    layer(x, training=True)
    assert pickle.loads(pickle.dumps(layer))(x, training=True).shape == x.shape


# -- what the random numbers are like -------------------------------------------------------------------


def ramp(batch):
    return torch.arange(64.0).reshape(1, 8, 8, 1).repeat(batch, 1, 1, 1)


@pytest.mark.parametrize("mode", ["horizontal", "vertical", "horizontal_and_vertical"])
def test_half_of_the_images_are_flipped(mode):
    flipped = layers.RandomFlip(mode, seed=1)(ramp(2000), training=True)
    kinds, counts = torch.unique(flipped.flatten(1), dim=0, return_counts=True)
    assert len(kinds) == 2 and abs(counts[0].item() - 1000) < 120


def test_angles_are_spread_evenly():
    angles = layers.RandomRotation((-0.1, 0.3), seed=1).get_random_transformation(ramp(4000))["angle"]
    assert angles.min() >= -36 and angles.max() <= 108 and abs(angles.mean() - 36) < 3
    assert (angles.sort().values - torch.linspace(-36, 108, 4000)).abs().max() < 6


@pytest.mark.parametrize("name", ["RandomInvert", "RandomErasing", "RandomGaussianBlur", "RandomPerspective"])
@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_the_factor_is_a_probability(name, share):
    arguments = {"scale": 0.5} if name in ("RandomErasing", "RandomPerspective") else {}
    layer = getattr(layers, name)(factor=(share, share), seed=3, **arguments)
    x = ramp(800) + 1
    changed = (layer(x, training=True) != x).flatten(1).any(1).float().mean().item()
    assert abs(changed - share) < 0.06


def test_grey_images_are_as_many_as_asked():
    x = torch.rand(1000, 4, 4, 3)
    grey = layers.RandomGrayscale(0.3, seed=1)(x, training=True)
    share = (grey.amax(-1) - grey.amin(-1) < 1e-6).flatten(1).all(1).float().mean().item()
    assert abs(share - 0.3) < 0.06


def test_crops_come_from_everywhere_and_are_one_for_the_batch():
    layer, x = layers.RandomCrop(6, 6, seed=1), ramp(2)
    seen = set()
    for _ in range(120):
        crop = layer(x, training=True)
        assert torch.equal(crop[0], crop[1])
        top, left = divmod(int(crop[0, 0, 0, 0]), 8)
        assert torch.equal(crop[0], x[0, top : top + 6, left : left + 6])
        seen.add((top, left))
    assert seen == {(i, j) for i in range(3) for j in range(3)}


def test_mixtures_are_of_two_images():
    x, labels = torch.rand(64, 4, 4, 3), torch.eye(64)
    out = layers.MixUp(1.0, seed=1)({"images": x, "labels": labels}, training=True)
    assert torch.allclose(out["images"].flatten(1), out["labels"] @ x.flatten(1), atol=1e-5)
    share = out["labels"].diagonal()
    assert 0.35 < share.mean() < 0.65 and share.std() > 0.2


def test_cut_images_have_labels_by_area():
    x, labels = torch.arange(64.0).reshape(64, 1, 1, 1).repeat(1, 32, 32, 3), torch.eye(64)
    out = layers.CutMix(1.0, seed=1)({"images": x, "labels": labels, "segmentation_masks": x[..., :1]}, training=True)
    own = (out["images"][..., 0] == x[..., 0]).float().mean((1, 2))
    assert (own - out["labels"].diagonal()).abs().max() < 0.1
    assert own.std() > 0.15
    assert torch.equal(out["segmentation_masks"], out["images"][..., :1])


@pytest.mark.parametrize("make", [layers.RandomFlip, layers.CutMix])
def test_masks_of_whole_numbers_stay_whole(make):
    masks = torch.arange(8 * 6 * 6).reshape(8, 6, 6, 1).to(torch.uint8)
    layer = make(seed=1)
    out = layer({"images": masks.float(), "segmentation_masks": masks}, training=True)
    assert out["segmentation_masks"].dtype is torch.uint8
    assert torch.equal(out["segmentation_masks"].float(), out["images"]) and not torch.equal(
        out["images"], masks.float()
    )
    assert layer({"images": masks.float(), "segmentation_masks": masks}, training=False)["segmentation_masks"] is masks


def test_erased_rectangles_have_the_asked_size():
    x = torch.zeros(400, 40, 40, 3)
    erased = layers.RandomErasing((1, 1), scale=(0.09, 0.25), fill_value=(1, 2, 3), seed=1)(x, training=True)
    lost = erased[..., 0] == 1
    high, wide = lost.any(2).sum(1), lost.any(1).sum(1)
    assert high.min() >= 11 and high.max() <= 21 and wide.min() >= 11 and wide.max() <= 21
    assert torch.equal(erased[lost].unique(dim=0), torch.tensor([[1.0, 2.0, 3.0]]))
    assert not torch.equal(high, wide)
    first = layers.RandomErasing((1, 1), fill_value=(1, 2, 3), seed=1, data_format="channels_first")
    assert set(first(x.permute(0, 3, 1, 2), training=True)[:, 1].unique().tolist()) == {0.0, 2.0}


def test_rand_augment_picks_each_layer():
    layer, x = layers.RandAugment(num_ops=1, seed=1), torch.rand(2, 8, 8, 3)
    names = {layer.get_random_transformation(x)["names"][0] for _ in range(200)}
    assert names == set(layer._names) and len(names) == 11


def test_the_parts_of_a_seeded_jitter_are_not_the_same_numbers():
    layer = layers.RandomColorJitter(brightness_factor=1.0, contrast_factor=(0.0, 1.0), value_range=(0, 1), seed=1)
    drawn = layer.get_random_transformation(torch.rand(500, 4, 4, 3))
    numbers = torch.stack([drawn["random_brightness"]["rgb_delta"], drawn["random_contrast"]["contrast_factor"]])
    assert torch.corrcoef(numbers.reshape(2, -1))[0, 1].abs() < 0.2


def test_elastic_masks_move_like_the_images():
    masks = (torch.rand(3, 30, 30, 1) > 0.5).float()
    layer = layers.RandomElasticTransform(interpolation="nearest", seed=1)
    out = layer({"images": masks * 255, "segmentation_masks": masks}, training=True)
    assert torch.equal(out["images"], out["segmentation_masks"] * 255) and not torch.equal(
        out["segmentation_masks"], masks
    )


def test_gradients_pass_through(rng):
    x = torch.rand(2, 9, 8, 3, requires_grad=True)
    for layer in (layers.RandomRotation(0.1), layers.RandomContrast((0.1, 0.1)), layers.Resizing(4, 4), layers.MixUp()):
        (gradient,) = torch.autograd.grad(layer(x, training=True).sum(), x)
        assert gradient.abs().sum() > 0


# -- mistakes ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "arguments", "words"),
    [
        ("RandomRotation", {"factor": 1.5}, "`factor`.*1.5"),
        ("RandomRotation", {"factor": (0.1, 0.2, 0.3)}, "pair"),
        ("RandomRotation", {"factor": 0.1, "fill_mode": "mirror"}, "'mirror'"),
        ("RandomRotation", {"factor": 0.1, "interpolation": "cubic"}, "'cubic'"),
        ("RandomRotation", {"factor": 0.1, "data_format": "last"}, "'last'"),
        ("RandomRotation", {"factor": 0.1, "seed": "a"}, "seed"),
        ("RandomTranslation", {"height_factor": 0.1, "width_factor": (-1.1, 0.2)}, "width_factor"),
        ("RandomZoom", {"height_factor": (-1.0, 0.0)}, "height_factor"),
        ("RandomShear", {"x_factor": -0.1}, "x_factor"),
        ("RandomPerspective", {"scale": 1.5}, "`scale`"),
        ("RandomFlip", {"mode": "sideways"}, "'sideways'"),
        ("RandomGrayscale", {"factor": 2}, "probability"),
        ("RandomPosterization", {"factor": 9}, "from 1 to 8"),
        ("RandomBrightness", {"factor": 0.1, "value_range": 255}, "value_range"),
        ("RandomGaussianBlur", {"kernel_size": 4}, "odd"),
        ("RandomErasing", {"fill_value": "red"}, "'red'"),
        ("Solarization", {"addition_factor": 1.1}, "addition_factor"),
        ("Equalization", {"bins": 1}, "bins"),
        ("Resizing", {"height": 0, "width": 1}, "height"),
        ("Resizing", {"height": 4, "width": 4, "interpolation": "cubic"}, "'cubic'"),
        ("Resizing", {"height": 4, "width": 4, "crop_to_aspect_ratio": True, "pad_to_aspect_ratio": True}, "only one"),
        ("MixUp", {"alpha": 0}, "alpha"),
        ("AugMix", {"num_chains": 0}, "num_chains"),
        ("RandAugment", {"num_ops": -1}, "num_ops"),
        ("ContrastLimitedAdaptiveHistogramEqualization", {"tile_grid_size": (0, 2)}, "tile_grid_size"),
        ("MaxNumBoundingBoxes", {"max_number": 0}, "max_number"),
    ],
)
def test_wrong_arguments_are_told(name, arguments, words):
    with pytest.raises(ArgumentError, match=words) as caught:
        getattr(layers, name)(**arguments, name="mine")
    assert "mine" in str(caught.value)


def test_wrong_inputs_are_told():
    with pytest.raises(ShapeError, match=r"mine.*\(4, 4\)"):
        layers.RandomFlip(name="mine")(torch.ones(4, 4))
    with pytest.raises(ShapeError, match="3 channels"):
        layers.RandomHue(0.1)(torch.ones(2, 4, 4, 2))
    with pytest.raises(ArgumentError, match="'images'"):
        layers.RandomFlip()({"image": torch.ones(2, 4, 4, 3)})
    with pytest.raises(ArgumentError, match="2 numbers"):
        layers.RandomErasing(fill_value=(1, 2))(torch.ones(2, 4, 4, 3))


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
@pytest.mark.parametrize("kind", [torch.int32, torch.uint8, torch.int64])
def test_whole_numbers_under_a_mixed_policy(kind, policy):
    """The limits of int32 are beyond float16."""
    x = torch.full((2, 4, 4, 3), 100, dtype=kind)
    y = layers.RandomBrightness((0.2, 0.2), dtype=policy)(x, training=True)
    assert y.dtype is kind
    assert (y == 151).all()
