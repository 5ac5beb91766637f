"""VGG and the ResNets against Keras's, and the small ResNets; pixels, class names, downloads."""

import functools
import hashlib
import http.server
import inspect
import itertools
import json
import shutil
import threading
import warnings

import harness
import numpy as np
import pytest
import torch

import lamella
from lamella.applications import imagenet_utils, resnet, small_resnet, vgg16
from lamella.errors import ArgumentError, DownloadError, FileError, ShapeError

keras = pytest.importorskip("keras")
theirs_utils = pytest.importorskip("keras.src.applications.imagenet_utils")

MODULES = ["imagenet_utils", "resnet", "resnet50", "resnet_v2", "vgg16", "vgg19"]
WITHOUT_TOP = [("VGG16", "max"), ("VGG19", "avg"), ("ResNet50V2", "max")]


NETWORKS = ["VGG16", "ResNet50", "ResNet50V2"]


@pytest.fixture(scope="module", params=NETWORKS)
def pair(request):
    return harness.twins(request.param)


def short_resnets(version, include_top=True):
    """(ours, theirs), of as few blocks as have every form: a third of the weights of the network of 50 layers."""
    kwargs = {"weights": None, "input_shape": (32, 32, 3), "classes": 10, "classifier_activation": None}
    kwargs |= {"include_top": include_top, "input_tensor": None, "pooling": None, "name": "short"}
    depths, parts = (2, 2, 2, 2) if version == "v2" else (2, 2, 1, 1), keras.src.applications.resnet
    keras.utils.set_random_seed(0)
    ours = resnet.residual_network(f"resnet50{version.removesuffix('v1')}", depths, **kwargs)

    def blocks(x):
        for i, depth in enumerate(depths):
            strides = {"stride1": 1} if i == (3 if version == "v2" else 0) else {}
            stack = getattr(parts, f"stack_residual_blocks_{version}")
            x = stack(x, 64 * 2**i, depth, name=f"conv{i + 2}", **strides)
        return x

    theirs = parts.ResNet(blocks, version == "v2", True, **kwargs)
    harness.randomize(theirs)
    ours.set_weights(theirs.get_weights())
    return ours, theirs


SHORT = ["v1", "v2", *(pytest.param(name, marks=pytest.mark.slow) for name in NETWORKS)]


@pytest.fixture(scope="module", params=SHORT)
def short(request):
    return harness.twins(request.param) if request.param in NETWORKS else short_resnets(request.param)


class TestLikeKeras:
    def test_structure(self, pair):
        harness.check_structure(*pair)

    def test_weights_of_keras(self, pair, tmp_path):
        harness.check_weights_of_keras(*pair, tmp_path)

    def test_older_weights(self, pair, tmp_path):
        harness.check_older_weights(*pair, tmp_path)

    def test_structure_of_short_ones(self, short):
        harness.check_structure(*short)

    def test_weights_for_keras(self, short, tmp_path):
        harness.check_weights_for_keras(*short, tmp_path)

    def test_whole_files(self, short, tmp_path):
        harness.check_whole_files(*short, tmp_path)

    def test_gradient_step(self, short):
        harness.check_gradient_step(*short)

    @pytest.mark.parametrize(("name", "pooling"), WITHOUT_TOP)
    def test_without_the_classifier(self, name, pooling):
        pair = harness.twins(name, include_top=False, pooling=pooling)
        harness.check_structure(*pair)
        harness.check_outputs(*pair)

    def test_feature_maps(self):
        pair = short_resnets("v1", include_top=False)
        harness.check_structure(*pair)
        harness.check_outputs(*pair)

    @pytest.mark.slow
    def test_the_largest(self):
        pair = harness.twins("ResNet152V2", include_top=False, pooling="avg")
        harness.check_structure(*pair)
        harness.check_outputs(*pair)

    @pytest.mark.parametrize("name", ["ResNet101", "ResNet101V2", "ResNet152", "ResNet152V2"])
    def test_blocks_of_the_deep_ones(self, name, monkeypatch):
        """Nothing else tells them from the networks of 50 layers."""
        found, wanted = [], []

        def ours(x, filters, block, project, shrink):
            found.append((block, filters, project, 2 if shrink else 1))
            return x

        def theirs(x, filters, stride=1, conv_shortcut=None, name=None):
            wanted.append((name, filters, name.endswith("_block1") if conv_shortcut is None else conv_shortcut, stride))
            return x

        version = "v2" if name.endswith("V2") else "v1"
        monkeypatch.setattr(resnet, "_preactivated_block" if version == "v2" else "_block", ours)
        monkeypatch.setattr(keras.src.applications.resnet, f"residual_block_{version}", theirs)
        for library in (lamella, keras):
            getattr(library.applications, name)(weights=None, include_top=False, input_shape=(32, 32, 3))
        assert found == wanted and len(found) == {"101": 33, "152": 50}[name[6:9]]

    @pytest.mark.slow
    @pytest.mark.parametrize("name", ["ResNet101", "ResNet101V2", "ResNet152"])
    def test_structure_alone(self, name):
        with lamella.device("meta"), keras.device("meta"):  # no values: 60 million random numbers take long
            pair = [
                getattr(library.applications, name)(weights=None, include_top=False, input_shape=(32, 32, 3))
                for library in map(fresh, (lamella, keras))
            ]
        harness.check_structure(*pair)


def fresh(library):
    library.utils.clear_session()
    return library


def test_signatures_and_modules():
    for module in MODULES:
        ours, theirs = getattr(lamella.applications, module), getattr(keras.applications, module)
        names = [name for name in dir(theirs) if not name.startswith("_")]
        assert set(names) <= set(ours.__all__)
        for name in names:
            found, wanted = (inspect.signature(getattr(library, name)).parameters for library in (ours, theirs))
            assert [(p.name, p.default) for p in found.values()] == [(p.name, p.default) for p in wanted.values()]
    assert lamella.applications.ResNet50 is lamella.applications.resnet50.ResNet50


class TestArguments:
    def test_any_image_size_without_the_classifier(self):
        model = lamella.applications.VGG16(include_top=False, weights=None)
        assert model.input_shape == (None, None, None, 3) and model.output_shape == (None, None, None, 512)
        assert model.predict(np.ones((1, 33, 70, 3)), verbose=0).shape == (1, 1, 2, 512)

    def test_the_classifier(self):
        model = lamella.applications.ResNet50(weights=None, input_shape=[32, 32, 3], classes=4, name="mine")
        assert model.name == "mine" and model.input_shape == (None, 32, 32, 3)
        scores = model.predict(np.random.default_rng(0).uniform(-1, 1, (3, 32, 32, 3)), verbose=0)
        assert scores.shape == (3, 4) and (scores > 0).all() and np.allclose(scores.sum(1), 1, atol=1e-5)
        sigmoid = lamella.applications.ResNet20(classifier_activation="sigmoid")
        assert sigmoid.layers[-1].activation is lamella.activations.sigmoid

    def test_input_tensor(self):
        x = lamella.Input((32, 32, 1), name="grey")
        tinted = lamella.layers.Concatenate()([x, x, x])
        model = lamella.applications.VGG16(
            weights=None, include_top=False, input_tensor=tinted, input_shape=(32, 32, 3), pooling="avg"
        )
        assert model.input_shape == [(None, 32, 32, 1)] or model.input_shape == (None, 32, 32, 1)
        assert model.output_shape == (None, 512)
        with pytest.raises(ArgumentError, match="symbolic"):
            lamella.applications.VGG16(weights=None, input_tensor=torch.ones(1, 224, 224, 3))

    def test_a_frozen_base_under_classes_of_ones_own(self):
        base = lamella.applications.ResNet50V2(include_top=False, weights=None, input_shape=(32, 32, 3), pooling="avg")
        base.trainable = False
        model = lamella.Sequential([base, lamella.layers.Dense(3)])
        model.compile("adam", lamella.losses.SparseCategoricalCrossentropy(from_logits=True))
        before = [weight.copy() for weight in base.get_weights()]
        head = model.layers[-1].get_weights()[0].copy()
        model.fit(np.random.default_rng(0).normal(size=(8, 32, 32, 3)), np.arange(8) % 3, verbose=0)
        assert all(np.array_equal(a, b) for a, b in zip(before, base.get_weights(), strict=True))
        assert not np.array_equal(head, model.layers[-1].get_weights()[0])

    @pytest.mark.parametrize(
        ("kwargs", "error", "says"),
        [
            ({"weights": "no/such/file.h5"}, ArgumentError, "no/such/file"),
            ({"weights": "imagenet", "classes": 10}, ArgumentError, r"include_top=False"),
            ({"weights": "imagenet", "input_shape": (64, 64, 3)}, ShapeError, r"\(224, 224, 3\)"),
            ({"weights": "imagenet", "input_shape": (64, 64, 1), "include_top": False}, ShapeError, "3 channels"),
            ({"weights": None, "input_shape": (31, 64, 3)}, ShapeError, "32 x 32"),
            ({"weights": None, "input_shape": (None, None, 3)}, ShapeError, "every size"),
            ({"weights": None, "input_shape": (64, 64)}, ShapeError, "three numbers"),
            ({"weights": None, "include_top": False, "pooling": "mean"}, ArgumentError, "'avg' or 'max'"),
            ({"weights": __file__, "classifier_activation": "relu"}, ArgumentError, "softmax"),
        ],
    )
    @pytest.mark.parametrize("name", ["VGG16", "ResNet50V2"])
    def test_what_no_network_is_made_of(self, name, kwargs, error, says):
        with pytest.raises(error, match=says):
            getattr(lamella.applications, name)(**kwargs)

    def test_channels_first(self):
        lamella.config.set_image_data_format("channels_first")
        try:
            with pytest.raises(ArgumentError, match="channels-last"):
                lamella.applications.VGG16(weights=None)
        finally:
            lamella.config.set_image_data_format("channels_last")


class TestPixels:
    @pytest.mark.parametrize("dtype", ["uint8", "int32", "float32", "float64", "float16"])
    @pytest.mark.parametrize("mode", ["caffe", "tf", "torch"])
    def test_as_in_keras(self, mode, dtype, rng):
        for shape, data_format in itertools.product([(5, 3, 3, 3), (3, 4, 3)], ["channels_last", "channels_first"]):
            shape = shape if data_format == "channels_last" else (*shape[:-3], 3, 4, 5)
            x = rng.integers(0, 256, shape).astype(dtype)
            wanted = theirs_utils.preprocess_input(x.copy(), data_format, mode)
            kept = x.copy()
            found = imagenet_utils.preprocess_input(x, data_format, mode)
            tolerance = 0.1 if dtype == "float16" else 1e-5
            assert found.dtype == wanted.dtype and np.array_equal(x, kept)
            np.testing.assert_allclose(found, wanted, atol=tolerance)
            tensor = imagenet_utils.preprocess_input(torch.from_numpy(x), data_format, mode)
            np.testing.assert_allclose(tensor.numpy(), wanted, atol=tolerance)

    @pytest.mark.parametrize("mode", ["caffe", "tf", "torch"])
    def test_symbolic(self, mode, rng, tmp_path):
        x = rng.integers(0, 256, (2, 4, 5, 3), dtype="uint8")
        image = lamella.Input((None, None, 3), dtype="uint8")
        model = lamella.Model(image, imagenet_utils.preprocess_input(image, mode=mode))
        model.save(tmp_path / "model.keras")
        wanted = theirs_utils.preprocess_input(x, mode=mode)
        for loaded in (model, lamella.models.load_model(tmp_path / "model.keras")):
            np.testing.assert_allclose(harness.outputs(loaded, x), wanted, atol=1e-4)
        np.testing.assert_allclose(harness.outputs(keras.models.load_model(tmp_path / "model.keras"), x), wanted, 1e-4)

    def test_read_only_and_reversed_arrays(self):
        x = np.arange(48, dtype="uint8").reshape(4, 4, 3)[::-1]
        x.flags.writeable = False
        assert np.array_equal(imagenet_utils.preprocess_input(x, mode="tf"), x.astype("float32") / 127.5 - 1)

    @pytest.mark.parametrize(
        ("shape", "kwargs", "error", "says"),
        [
            ((2, 4, 4, 4), {}, ShapeError, "alpha"),
            ((4, 4, 1), {"mode": "torch"}, ShapeError, "Grey"),
            ((4, 3), {}, ShapeError, "shape"),
            ((4, 4, 3), {"mode": "pytorch"}, ArgumentError, "'torch'"),
            ((4, 4, 3), {"data_format": "NHWC"}, ArgumentError, "channels_last"),
        ],
    )
    def test_what_is_no_picture(self, shape, kwargs, error, says):
        with pytest.raises(error, match=says):
            imagenet_utils.preprocess_input(np.ones(shape), **kwargs)

    @pytest.mark.parametrize("module", MODULES[1:])
    def test_each_networks_own(self, module, rng):
        x = rng.uniform(0, 255, (2, 4, 4, 3)).astype("float32")
        found = getattr(lamella.applications, module).preprocess_input(x)
        np.testing.assert_allclose(found, getattr(keras.applications, module).preprocess_input(x.copy()), atol=1e-4)


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
@pytest.mark.parametrize("weights", [None, "imagenet", "file"])
@pytest.mark.parametrize("require_flatten", [True, False])
def test_obtain_input_shape_as_in_keras(require_flatten, weights, data_format):
    shapes = [None, *itertools.product((32, 224, None, 16), (224, 40), (3, 1, 5)), (224, 224), (3, 224, 224)]
    shapes += [shape[::-1] for shape in shapes[1:]] + [(224, 224, 3, 1)]
    for shape in shapes:
        arguments = shape, 224, 32, data_format, require_flatten, weights
        try:
            with warnings.catch_warnings(record=True) as wanted_warnings:
                warnings.simplefilter("always")
                wanted = theirs_utils.obtain_input_shape(*arguments)
        except ValueError:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                with pytest.raises(ShapeError):
                    imagenet_utils.obtain_input_shape(*arguments)
            continue
        with warnings.catch_warnings(record=True) as found_warnings:
            warnings.simplefilter("always")
            assert imagenet_utils.obtain_input_shape(*arguments) == wanted
        assert len(found_warnings) == len(wanted_warnings)


def test_validate_activation_as_in_keras():
    for activation, weights in itertools.product(["softmax", None, "linear", "relu", "sigmoid"], [None, "imagenet"]):
        try:
            theirs_utils.validate_activation(activation, weights)
        except ValueError:
            with pytest.raises(ArgumentError):
                imagenet_utils.validate_activation(activation, weights)
        else:
            imagenet_utils.validate_activation(activation, weights)


@pytest.fixture
def web(tmp_path, monkeypatch):
    """A web server for the files of a folder; `LAMELLA_HOME` is another. `web.asked` are the requests so far."""

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args):
            server.asked.append(self.path)

    (tmp_path / "web").mkdir()
    monkeypatch.setenv("LAMELLA_HOME", str(tmp_path / "home"))
    handler = functools.partial(Handler, directory=tmp_path / "web")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.folder, server.asked = tmp_path / "web", []
    server.url = f"http://127.0.0.1:{server.server_address[1]}/"
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def md5(path):
    return hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()


class TestImageNetWeights:
    FILE = "vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5"

    @pytest.fixture
    def theirs(self, web, tmp_path, monkeypatch):
        """Keras's network; its weights, in the form of the ImageNet weights, are what the web has for VGG16."""
        ours, theirs = harness.twins("VGG16", include_top=False, pooling="max")
        harness.check_older_weights(ours, theirs, tmp_path)
        (web.folder / "vgg16").mkdir()
        shutil.move(tmp_path / "older.h5", web.folder / "vgg16" / self.FILE)
        monkeypatch.setattr(vgg16, "_ORIGIN", web.url)
        monkeypatch.setitem(vgg16._HASHES, "vgg16", ("0" * 32, md5(web.folder / "vgg16" / self.FILE)))
        return theirs

    def make(self, **kwargs):
        arguments = {"include_top": False, "pooling": "max", "input_shape": (32, 32, 3)}
        return lamella.applications.VGG16(**arguments | kwargs)

    def test_downloaded_once(self, web, theirs, tmp_path):
        models = [self.make(), self.make(), self.make(weights=tmp_path / "home/models" / self.FILE)]
        assert len(web.asked) == 1
        x = harness.images(theirs)
        for model in models:
            harness.assert_close(harness.outputs(model, x), harness.outputs(theirs, x))

    def test_damaged(self, web, tmp_path, monkeypatch):
        (web.folder / "vgg16").mkdir()
        (web.folder / "vgg16" / self.FILE).write_bytes(b"not these")
        monkeypatch.setattr(vgg16, "_ORIGIN", web.url)
        with pytest.raises(DownloadError, match="checksum"):
            self.make()
        assert len(web.asked) == 1 and not any((tmp_path / "home/models").iterdir())

    def test_offline(self, web, monkeypatch):
        web.server_close()
        monkeypatch.setattr(vgg16, "_ORIGIN", web.url)
        with pytest.raises(DownloadError, match=r"models.*weights='/path/to/vgg16_weights.*weights=None") as caught:
            self.make()
        assert f"{web.url}vgg16/{self.FILE}" in str(caught.value) and "datasets" not in str(caught.value)

    def test_of_another_network(self, tmp_path):
        lamella.Sequential([lamella.Input((2,)), lamella.layers.Dense(1)]).save_weights(tmp_path / "x.weights.h5")
        with pytest.raises(FileError):
            self.make(weights=tmp_path / "x.weights.h5")

    @pytest.mark.parametrize(("name", "top"), [("VGG16", False), ("ResNet50", True)])
    def test_addresses_are_those_of_keras(self, name, top, monkeypatch):
        """Lamella and Keras ask their downloader for the same file."""
        asked = []

        def refuse(fname, origin, file_hash=None, **kwargs):
            asked.append((fname, origin, file_hash))
            raise DownloadError("this is a test")

        monkeypatch.setattr(imagenet_utils, "get_file", refuse)
        monkeypatch.setattr(keras.src.utils.file_utils, "get_file", refuse)
        for library in (lamella, keras):
            with pytest.raises(DownloadError):
                getattr(library.applications, name)(include_top=top)
        ours, theirs = asked
        assert ours == theirs and ours[1].endswith(ours[0])

    def test_hashes_are_those_of_keras(self):
        theirs = keras.src.applications
        assert resnet._HASHES.items() <= theirs.resnet.WEIGHTS_HASHES.items()
        for network, hashes in vgg16._HASHES.items():
            source = inspect.getsource(getattr(theirs, network))
            assert 0 < source.index(f'"{hashes[0]}"') < source.index(f'"{hashes[1]}"')


class TestClassNames:
    @pytest.fixture
    def index(self, web, monkeypatch):
        index = {str(k): [f"n{k:08}", f"class {k}"] for k in range(1000)}
        (web.folder / "index.json").write_text(json.dumps(index), encoding="utf-8")
        origin = {"origin": f"{web.url}index.json", "file_hash": md5(web.folder / "index.json")}
        monkeypatch.setattr(imagenet_utils, "_CLASS_INDEX", imagenet_utils._CLASS_INDEX | origin)
        monkeypatch.setattr(theirs_utils, "CLASS_INDEX", index)
        imagenet_utils._class_index.cache_clear()
        yield index
        imagenet_utils._class_index.cache_clear()

    def test_as_in_keras(self, web, index, rng):
        scores = rng.dirichlet(np.ones(1000), size=4).astype("float32")
        for top in (1, 5, 1000):
            wanted = theirs_utils.decode_predictions(scores, top)
            assert imagenet_utils.decode_predictions(scores, top) == wanted
            assert imagenet_utils.decode_predictions(torch.from_numpy(scores).requires_grad_(), top) == wanted
        assert len(web.asked) == 1

    @pytest.mark.parametrize("shape", [(1000,), (2, 999), (1, 1, 1000)])
    def test_other_classes(self, shape):
        with pytest.raises(ShapeError, match="1000 classes"):
            vgg16.decode_predictions(np.ones(shape))

    def test_offline(self, web, index):
        web.server_close()
        with pytest.raises(DownloadError, match=r"index\.json.*folder `models`"):
            imagenet_utils.decode_predictions(np.ones((1, 1000)))


class TestSmallResNets:
    @pytest.mark.parametrize(("depth", "millions"), [(20, 0.27), (32, 0.46), (44, 0.66), (56, 0.85)])
    def test_sizes_of_the_paper(self, depth, millions):
        model = getattr(lamella.applications, f"ResNet{depth}")()
        assert round(sum(weight.numel() for weight in model.trainable_weights) / 1e6, 2) == millions
        weighted = [layer for layer in model.layers if type(layer).__name__ in ("Conv2D", "Dense")]
        assert len(weighted) == depth and model.name == f"resnet{depth}"

    def test_against_the_definition(self):
        """The same in plain torch, channels first, as the paper says it."""
        model = lamella.applications.ResNet20(classifier_activation=None)
        weights_of = {}
        random = np.random.default_rng(0)
        for layer in model.layers:
            if type(layer).__name__ == "BatchNormalization":
                layer.set_weights([random.uniform(0.5, 1.5, weight.shape) for weight in layer.weights])
            weights_of[layer.name] = [weight.detach() for weight in layer.weights]

        def convolved(x, name, stride=1):
            (kernel,) = weights_of[f"{name}_conv"]
            x = torch.conv2d(x, kernel.permute(3, 2, 0, 1), stride=stride, padding=1)
            gamma, beta, mean, variance = weights_of[f"{name}_bn"]
            return torch.nn.functional.batch_norm(x, mean, variance, gamma, beta, eps=1e-3)

        x = torch.randn(3, 3, 32, 32)
        h = convolved(x, "stem").relu()
        for stage, block in itertools.product((1, 2, 3), (1, 2, 3)):
            stride, name = 2 if stage > 1 and block == 1 else 1, f"stage{stage}_block{block}"
            shortcut = h[:, :, ::stride, ::stride]
            shortcut = torch.cat([shortcut, torch.zeros_like(shortcut)], 1) if stride == 2 else h
            h = (convolved(convolved(h, f"{name}_1", stride).relu(), f"{name}_2") + shortcut).relu()
        kernel, bias = weights_of["predictions"]
        wanted = h.mean((2, 3)) @ kernel + bias
        harness.assert_close(harness.outputs(model, x.permute(0, 2, 3, 1)), wanted.numpy())

    def test_files_both_ways(self, tmp_path):
        model = lamella.applications.ResNet20(input_shape=(17, 16, 3), include_top=False, pooling="max")
        model.save(tmp_path / "model.keras")
        theirs = keras.models.load_model(tmp_path / "model.keras")
        x = harness.images(model)
        harness.assert_close(harness.outputs(theirs, x), harness.outputs(model, x))
        theirs.save(tmp_path / "theirs.keras")
        again = lamella.models.load_model(tmp_path / "theirs.keras")
        harness.assert_close(harness.outputs(again, x), harness.outputs(model, x))
        model.save_weights(tmp_path / "model.weights.h5")
        third = lamella.applications.ResNet20(
            input_shape=(17, 16, 3), include_top=False, pooling="max", weights=tmp_path / "model.weights.h5"
        )
        harness.assert_close(harness.outputs(third, x), harness.outputs(model, x))

    def test_it_learns(self):
        """Which half of the image is brighter: not known at first, known after a few steps."""
        x = np.random.default_rng(0).normal(size=(64, 16, 16, 3)).astype("float32")
        y = np.arange(64) % 2
        x[y == 1, :8] += 1
        x[y == 0, 8:] += 1
        model = small_resnet.ResNet20(input_shape=(16, 16, 3), classes=2)
        model.compile(lamella.optimizers.SGD(0.1, momentum=0.9), "sparse_categorical_crossentropy")
        losses = model.fit(x, y, batch_size=32, epochs=6, verbose=0).history["loss"]
        assert losses[-1] < 0.5 * losses[0]

    def test_no_imagenet(self):
        with pytest.raises(ArgumentError, match="no ImageNet weights"):
            lamella.applications.ResNet20(weights="imagenet")
