"""MobileNets, EfficientNets, DenseNets, ConvNeXts, Inceptions, Xception and NASNets against Keras's."""

import functools
import importlib
import inspect
import types

import harness
import numpy as np
import pytest
import torch

import lamella
from lamella.applications import blocks, convnext, efficientnet, efficientnet_v2, inception_resnet_v2
from lamella.errors import ArgumentError, ShapeError

keras = pytest.importorskip("keras")

NETWORKS = """
    MobileNetV2 ConvNeXt MobileNetV3Small Xception MobileNet MobileNetV3Large EfficientNetV2 EfficientNet DenseNet121
    InceptionV3
""".split()  # of each family one; those that get more checks come first
VARIANTS = ["EfficientNetB0", "EfficientNetV2B0", "ConvNeXtTiny", "InceptionResNetV2", "NASNetMobile"]
MORE_VARIANTS = """
    EfficientNetB1 EfficientNetB2 EfficientNetB3 EfficientNetB4 EfficientNetB5 EfficientNetB6 EfficientNetB7
    EfficientNetV2B1 EfficientNetV2B2 EfficientNetV2B3 EfficientNetV2S EfficientNetV2M EfficientNetV2L ConvNeXtSmall
    ConvNeXtBase ConvNeXtLarge ConvNeXtXLarge DenseNet169 DenseNet201 NASNetLarge
""".split()
MORE_FILES = """
    DenseNet121 DenseNet169 DenseNet201 EfficientNetB5 EfficientNetV2S InceptionResNetV2 InceptionV3 NASNetLarge
    NASNetMobile
""".split()
MODULES = """
    convnext densenet efficientnet efficientnet_v2 inception_resnet_v2 inception_v3 mobilenet mobilenet_v2 mobilenet_v3
    nasnet xception
""".split()


def module(room, name):
    return importlib.import_module(f"{room}.applications.{name}")


def narrow(name):
    """The two functions that make a network; of wide families, smaller ones, by what Keras's variants are made by."""
    theirs = keras.src.applications
    if name == "ConvNeXt":
        depths, widths = [1, 1, 2, 1], [16, 24, 32, 40]
        build = functools.partial(theirs.convnext.ConvNeXt, depths, widths, name="convnext_tiny")
        return convnext._variant("Tiny", depths, widths), build
    if name == "EfficientNet":
        build = functools.partial(theirs.efficientnet.EfficientNet, 0.25, 0.5, 224, 0.2, name="efficientnetb0")
        return efficientnet._variant(0, 0.25, 0.5, 224, 0.2), build
    if name == "EfficientNetV2":
        build = functools.partial(theirs.efficientnet_v2.EfficientNetV2, 0.25, 0.5, 224, name="efficientnetv2-b0")
        return efficientnet_v2._variant("B0", 224, efficientnet_v2._B, 0.25, 0.5), build
    return getattr(lamella.applications, name), getattr(keras.applications, name)


@pytest.fixture(scope="module")
def pair(request):
    """(ours, theirs), theirs with random weights and fitting statistics."""
    kwargs = {"weights": None, "input_shape": (32, 32, 3), "classes": 10, "classifier_activation": None}
    kwargs |= {
        "MobileNet": {"alpha": 0.25},
        "MobileNetV2": {"alpha": 0.35, "input_shape": (48, 48, 3)},
        "MobileNetV3Small": {"alpha": 0.75, "input_shape": (48, 48, 3)},
        "MobileNetV3Large": {"minimalistic": True},
        "Xception": {"input_shape": (71, 71, 3)},
        "InceptionV3": {"input_shape": (75, 75, 3)},
    }.get(request.param, {})
    for library in (lamella, keras):
        library.utils.clear_session()
    # In one draw of weights in four, rounding puts a unit of a network this narrow on the other side of its ReLU, for
    # Lamella as often as for Keras (measured against float64): the gradient then differs by up to 2 %.
    keras.utils.set_random_seed(0)
    ours, theirs = (build(**kwargs) for build in narrow(request.param))
    harness.randomize(theirs)
    normalize(theirs)
    return ours, theirs


def normalize(model):
    """Gives a Keras model the statistics of random images: by others, narrow networks forget which image they saw."""
    layers = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
    momenta = [layer.momentum for layer in layers]
    for layer in layers:
        layer.momentum = 0.0
    with torch.no_grad():
        model(torch.as_tensor(harness.images(model, 16, seed=2)), training=True)
    for layer, momentum in zip(layers, momenta, strict=True):
        layer.momentum = momentum


def weightless(name, **kwargs):
    """(ours, theirs) on torch's meta device: as large as they like, without memory."""
    for library in (lamella, keras):
        library.utils.clear_session()
    kwargs = {"weights": None, "input_shape": (32, 32, 3), **kwargs}
    with lamella.device("meta"), keras.device("meta"):
        return getattr(lamella.applications, name)(**kwargs), getattr(keras.applications, name)(**kwargs)


@pytest.fixture
def keras_makes_every_network(monkeypatch):
    """Keras 3.15 refuses NASNetMobile on torch, yet makes it, and computes with it, where it is told otherwise."""
    backend = types.SimpleNamespace(**{**vars(keras.src.backend), "backend": lambda: "tensorflow"})
    monkeypatch.setattr(keras.src.applications.nasnet, "backend", backend)


class TestLikeKeras:
    @pytest.mark.parametrize("pair", NETWORKS, indirect=True)
    def test_structure(self, pair):
        harness.check_structure(*pair)

    @pytest.mark.parametrize("pair", NETWORKS, indirect=True)
    def test_weights_of_keras(self, pair, tmp_path):
        harness.check_weights_of_keras(*pair, tmp_path)

    @pytest.mark.parametrize("pair", NETWORKS[:7], indirect=True)
    def test_weights_for_keras(self, pair, tmp_path):
        harness.check_weights_for_keras(*pair, tmp_path)

    @pytest.mark.parametrize("pair", NETWORKS[:4], indirect=True)
    def test_older_weights(self, pair, tmp_path):
        harness.check_older_weights(*pair, tmp_path)

    @pytest.mark.parametrize("pair", NETWORKS[:3], indirect=True)
    def test_whole_files(self, pair, tmp_path):
        harness.check_whole_files(*pair, tmp_path)

    @pytest.mark.parametrize("pair", ["EfficientNet"], indirect=True)
    def test_statistics_of_pixels_in_files(self, pair, tmp_path):
        harness.check_older_weights(*pair, tmp_path)
        harness.check_whole_files(*pair, tmp_path)

    @pytest.mark.parametrize("pair", NETWORKS[:2], indirect=True)  # those without dropout
    def test_gradient_step(self, pair, tmp_path):
        harness.check_gradient_step(*pair, tmp_path)

    @pytest.mark.slow
    @pytest.mark.usefixtures("keras_makes_every_network")
    @pytest.mark.parametrize("name", ["InceptionResNetV2", "NASNetMobile"])
    def test_outputs_of_large_networks(self, name, tmp_path):
        ours, theirs = harness.twins(name, (96, 96, 3), include_top=False, pooling="avg")
        normalize(theirs)
        harness.check_weights_of_keras(ours, theirs, tmp_path)
        harness.check_whole_files(ours, theirs, tmp_path)


class TestStructure:
    def check(self, name, **kwargs):
        ours, theirs = weightless(name, **kwargs)
        harness.check_structure(ours, theirs)
        scales = [[(x.scale, x.offset) for x in m.layers if type(x).__name__ == "Rescaling"] for m in (ours, theirs)]
        assert scales[0] == scales[1]

    @pytest.mark.usefixtures("keras_makes_every_network")
    @pytest.mark.parametrize("name", VARIANTS)
    def test_variants(self, name):
        self.check(name, include_top=False, pooling="max", input_shape=(75, 75, 3))

    @pytest.mark.slow
    @pytest.mark.parametrize("name", MORE_VARIANTS)
    def test_more_variants(self, name):
        self.check(name, include_top=False, pooling="avg")

    @pytest.mark.parametrize(
        ("name", "kwargs"),
        [
            ("MobileNetV2", {"alpha": 1.3}),
            ("MobileNet", {"alpha": 0.5, "depth_multiplier": 2, "dropout": 0.3}),
            ("MobileNetV3Small", {"alpha": 1.25, "dropout_rate": 0, "include_preprocessing": False}),
        ],
    )
    def test_arguments_of_mobile_networks(self, name, kwargs):
        self.check(name, classes=7, **kwargs)

    @pytest.mark.parametrize("name", ["MobileNetV2", "MobileNetV3Small"])
    def test_images_of_any_size(self, name):
        self.check(name, include_top=False, input_shape=None)

    @pytest.mark.parametrize("name", ["EfficientNetV2B0", "ConvNeXtTiny"])
    def test_grey_images(self, name):
        self.check(name, include_top=False, input_shape=(32, 32, 1))

    def test_layers_before_the_network(self):
        made = []
        for library in (lamella, keras):
            library.utils.clear_session()
            x = library.layers.Cropping2D(4)(library.Input((40, 40, 3)))
            made.append(library.applications.MobileNetV2(alpha=0.35, weights=None, input_tensor=x, include_top=False))
        ours, theirs = made
        assert [layer.name for layer in ours.layers] == [layer.name for layer in theirs.layers]
        assert ours.inputs[0].shape == (None, 40, 40, 3) and ours.output_shape == theirs.output_shape


class TestNames:
    @pytest.mark.parametrize("name", ["", *MODULES, "resnet", "resnet50", "resnet_v2", "vgg16", "vgg19"])
    def test_every_public_name_of_keras(self, name):
        path = f".{name}" if name else ""
        ours, theirs = (importlib.import_module(f"{room}.applications{path}") for room in ("lamella", "keras"))
        names = {n for n in dir(theirs) if not n.startswith("_")}
        assert names and names <= set(dir(ours))

    @pytest.mark.parametrize("name", MODULES)
    def test_signatures(self, name):
        ours = module("lamella", name)
        for function in ours.__all__:
            wanted = inspect.signature(getattr(module("keras.src", name), function)).parameters.values()
            found = inspect.signature(getattr(ours, function)).parameters.values()
            assert [(p.name, p.default) for p in found] == [(p.name, p.default) for p in wanted]
            assert getattr(ours, function).__name__ == function and getattr(ours, function).__doc__

    @pytest.mark.parametrize("name", MODULES)
    def test_preprocess_input(self, name):
        x = np.random.default_rng(0).uniform(0, 255, (2, 4, 4, 3)).astype("float32")
        wanted = module("keras.src", name).preprocess_input(x.copy())
        np.testing.assert_allclose(module("lamella", name).preprocess_input(x), wanted, rtol=1e-5, atol=1e-5)


class Asked(Exception):
    """What a network would load: the file's name and address, and its checksum."""


class TestWeightsOnImageNet:
    """Lamella asks for the file that Keras asks for."""

    @pytest.fixture(autouse=True)
    def _no_download(self, monkeypatch):
        def ours(model, weights, file_name, file_hash, origin):
            raise Asked(file_name, origin, file_hash)

        def theirs(file_name, origin, cache_subdir=None, file_hash=None):
            raise Asked(file_name, origin, file_hash)

        monkeypatch.setattr(keras.src.utils.file_utils, "get_file", theirs)
        for name in MODULES:
            monkeypatch.setattr(module("lamella", name), "load_weights", ours)

    def check(self, name, **kwargs):
        asked = []
        for library in (lamella, keras):
            with lamella.device("meta"), keras.device("meta"), pytest.raises(Asked) as error:
                getattr(library.applications, name)(weights="imagenet", **kwargs)
            asked.append(error.value.args)
        assert asked[0] == asked[1]

    @pytest.mark.parametrize("include_top", [True, False])
    def test_file(self, include_top):
        self.check("Xception", include_top=include_top, input_shape=None if include_top else (96, 96, 3))

    @pytest.mark.parametrize("name", ["EfficientNetB0", "EfficientNetV2B0", "ConvNeXtTiny"])
    def test_file_of_a_variant(self, name):
        self.check(name, include_top=False, input_shape=(32, 32, 3))

    @pytest.mark.slow
    @pytest.mark.usefixtures("keras_makes_every_network")
    @pytest.mark.parametrize("include_top", [True, False])
    @pytest.mark.parametrize("name", MORE_FILES)
    def test_more_files(self, name, include_top):
        self.check(name, include_top=include_top, input_shape=None if include_top else (96, 96, 3))

    @pytest.mark.parametrize("include_top", [True, False])
    @pytest.mark.parametrize(("name", "size"), [("MobileNet", 160), ("MobileNetV2", 96)])
    def test_file_by_width_and_size(self, name, size, include_top):
        self.check(name, include_top=include_top, alpha=0.5, input_shape=(size, size, 3))

    @pytest.mark.parametrize("name", ["MobileNet", "MobileNetV2", "MobileNetV3Small"])
    def test_file_for_another_size(self, name):
        with pytest.warns(UserWarning, match="224"):
            self.check(name, include_top=False, alpha=0.75, input_shape=(64, 64, 3))

    @pytest.mark.parametrize("name", ["efficientnet", "efficientnet_v2", "convnext", "mobilenet_v3"])
    def test_tables(self, name):
        ours, theirs = module("lamella", name), module("keras.src", name)
        table = ours._HASHES if isinstance(ours._HASHES, dict) else {f"b{i}": h for i, h in enumerate(ours._HASHES)}
        assert table == {key.lstrip("-").removeprefix("convnext_"): h for key, h in theirs.WEIGHTS_HASHES.items()}


class TestOwnLayers:
    @pytest.mark.parametrize("name", ["LayerScale", "StochasticDepth", "CustomScaleLayer"])
    def test_files_both_ways(self, name, tmp_path):
        arguments = {"LayerScale": (0.3, 5), "StochasticDepth": (0.3,), "CustomScaleLayer": (0.3,)}[name]
        room = "inception_resnet_v2" if name == "CustomScaleLayer" else "convnext"
        x = np.random.default_rng(0).normal(size=(2, 5)).astype("float32")
        for here, there in ((lamella, keras), (keras, lamella)):
            layer = getattr(module("lamella" if here is lamella else "keras.src", room), name)(*arguments)
            image = here.Input((5,))
            model = here.Model(image, layer([image, image * 2.0] if name == "CustomScaleLayer" else image))
            model.save(tmp_path / "model.keras")
            read = there.models.load_model(tmp_path / "model.keras")
            assert type(read.layers[-1]).__name__ == name
            np.testing.assert_allclose(harness.outputs(read, x), harness.outputs(model, x), rtol=1e-6)

    def test_stochastic_depth_drops_whole_samples_and_keeps_the_mean(self):
        torch.manual_seed(0)
        y = convnext.StochasticDepth(0.25)(torch.ones(20000, 2, 3), training=True)
        assert set(y.unique().tolist()) == {0.0, torch.tensor(1 / 0.75).item()}
        assert torch.equal(y, y[:, :1, :1].expand_as(y))
        assert abs(y.mean().item() - 1) < 0.02

    def test_layer_scale_learns(self):
        layer = convnext.LayerScale(1e-6, 4)
        layer(torch.ones(3, 4)).sum().backward()
        assert layer.gamma.grad.tolist() == [3.0] * 4

    def test_scaled_sum(self):
        a, b = torch.rand(2, 3), torch.rand(2, 3)
        torch.testing.assert_close(inception_resnet_v2.CustomScaleLayer(0.1)([a, b]), a + 0.1 * b)

    @pytest.mark.parametrize("size", [(7, 8), (8, 7), (None, None)])
    @pytest.mark.parametrize("kernel", [3, 5, 7])
    def test_correct_pad(self, size, kernel):
        wanted = keras.src.applications.imagenet_utils.correct_pad(keras.Input((*size, 3)), kernel)
        assert blocks.correct_pad(lamella.Input((*size, 3)), kernel) == wanted


class TestErrors:
    @pytest.mark.parametrize("name", ["MobileNet", "MobileNetV2", "MobileNetV3Small"])
    def test_a_width_without_weights(self, name):
        with pytest.raises(ArgumentError, match=r"alpha.* got 0\.6"):
            getattr(lamella.applications, name)(alpha=0.6)

    def test_other_arguments_without_weights(self):
        with pytest.raises(ArgumentError, match="depth_multiplier"):
            lamella.applications.MobileNet(depth_multiplier=2)
        with pytest.raises(ArgumentError, match=r"minimalistic.* got 0\.75"):
            lamella.applications.MobileNetV3Large(alpha=0.75, minimalistic=True)

    @pytest.mark.parametrize(("name", "smallest"), [("Xception", 71), ("InceptionV3", 75), ("InceptionResNetV2", 75)])
    def test_small_images(self, name, smallest):
        with pytest.raises(ShapeError, match=f"at least {smallest} x {smallest}"):
            getattr(lamella.applications, name)(weights=None, input_shape=(smallest - 1, 100, 3))

    def test_nasnet_needs_a_size(self):
        with pytest.raises(ShapeError, match="known size"):
            lamella.applications.NASNetMobile(weights=None, include_top=False, input_shape=(None, None, 3))

    @pytest.mark.parametrize("name", ["ConvNeXtTiny", "NASNetLarge", "EfficientNetV2B0", "DenseNet121", "Xception"])
    def test_bad_arguments(self, name):
        build = getattr(lamella.applications, name)
        with pytest.raises(ArgumentError, match="1000 classes"):
            build(classes=5)
        with pytest.raises(ArgumentError, match="pooling"):
            build(weights=None, include_top=False, pooling="mean")
        with pytest.raises(ArgumentError, match="path of a file"):
            build(weights="nowhere.weights.h5")

    def test_an_activation_that_the_weights_were_not_trained_with(self):
        with pytest.raises(ArgumentError, match="classifier_activation"):
            lamella.applications.MobileNetV2(classifier_activation="relu")


def test_fine_tuning_from_a_file_of_features(tmp_path):
    path = tmp_path / "features.weights.h5"
    build = functools.partial(lamella.applications.MobileNetV2, (32, 32, 3), 0.35, include_top=False, pooling="avg")
    base = build(weights=None)
    base.save_weights(path)
    again = build(weights=path)
    x = torch.rand(2, 32, 32, 3)
    torch.testing.assert_close(again(x), base(x))
    model = lamella.Sequential([again, lamella.layers.Dense(3)])
    model.compile("sgd", lamella.losses.SparseCategoricalCrossentropy(from_logits=True))
    before = again.weights[0].detach().clone()
    model.fit(x.numpy(), np.array([0, 2]), verbose=0)
    assert not torch.equal(again.weights[0], before)
