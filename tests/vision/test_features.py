"""Features of a layer: against Keras's own way, against a hook in plain torch, and in scikit-learn's pipelines."""

import copy
import pickle

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn

import lamella
from lamella import layers
from lamella.errors import ArgumentError, DataError
from lamella.vision import FeatureExtractor, extract_features

IMAGES = np.random.default_rng(0).normal(size=(13, 8, 8, 3)).astype("float32")


def functional(library=lamella):
    inputs = library.Input((8, 8, 3))
    h = library.layers.Conv2D(4, 3, padding="same", activation="relu", name="first")(inputs)
    h = library.layers.MaxPooling2D(name="half")(h)
    h = library.layers.BatchNormalization(name="norm")(h)
    h = library.layers.add([h, library.layers.Conv2D(4, 3, padding="same", name="second")(h)])
    h = library.layers.GlobalAveragePooling2D(name="avg_pool")(h)
    h = library.layers.Dropout(0.5, name="drop")(h)
    return library.Model(inputs, library.layers.Dense(3, "softmax", name="top")(h))


def sequential():
    return lamella.Sequential(
        [
            lamella.Input((8, 8, 3)),
            layers.Conv2D(4, 3, activation="relu", name="first"),
            layers.MaxPooling2D(name="half"),
            layers.Flatten(name="flat"),
            layers.Dense(5, "relu", name="hidden"),
            layers.Dense(3, name="top"),
            layers.Softmax(),
        ]
    )


class Subclassed(lamella.Model):
    def __init__(self):
        super().__init__()
        self.top = layers.Dense(3, name="top")  # made first, called last
        self.first = layers.Conv2D(4, 3, name="first")
        self.pool = layers.GlobalMaxPooling2D(name="pool")

    def call(self, inputs):
        return self.top(self.pool(self.first(inputs)))


class Torch(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU())
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.drop = nn.Dropout(0.5)
        self.top = nn.Linear(4, 3)

    def forward(self, x):
        return self.top(self.drop(self.pool(self.body(x)).flatten(1)))


@pytest.mark.parametrize("name", ["first", "half", "norm", "second", "avg_pool", "drop", "top"])
def test_a_layer_of_a_functional_model_as_in_keras(name):
    keras = pytest.importorskip("keras")
    theirs, ours = functional(keras), functional()
    ours.set_weights([np.random.default_rng(1).uniform(0.1, 1, w.shape) for w in theirs.get_weights()])
    theirs.set_weights(ours.get_weights())
    expected = keras.Model(theirs.input, theirs.get_layer(name).output).predict(IMAGES, verbose=0)
    np.testing.assert_allclose(extract_features(ours, name, IMAGES, batch_size=5), expected, rtol=1e-4, atol=1e-5)
    index = [layer.name for layer in ours.layers].index(name)
    for layer in (index, index - len(ours.layers), ours.get_layer(name)):
        np.testing.assert_allclose(extract_features(ours, layer, IMAGES), expected, rtol=1e-4, atol=1e-5)


def test_pooling():
    model = functional()
    maps = extract_features(model, "second", IMAGES)
    assert maps.shape == (13, 4, 4, 4)
    np.testing.assert_allclose(extract_features(model, "second", IMAGES, pooling="avg"), maps.mean((1, 2)), atol=1e-6)
    np.testing.assert_allclose(extract_features(model, "second", IMAGES, pooling="max"), maps.max((1, 2)))
    vectors = extract_features(model, "avg_pool", IMAGES)
    np.testing.assert_array_equal(extract_features(model, "avg_pool", IMAGES, pooling="max"), vectors)
    with pytest.raises(ArgumentError, match="'avg', 'max' or None"):
        extract_features(model, None, IMAGES, pooling="mean")


@pytest.mark.parametrize(
    ("make", "last"), [(functional, "drop"), (sequential, "hidden"), (Subclassed, "pool")], ids=lambda p: str(p)[:12]
)
def test_by_default_what_goes_into_the_classifier(make, last):
    model = make()
    np.testing.assert_array_equal(extract_features(model, None, IMAGES), extract_features(model, last, IMAGES))


def test_by_default_the_output_where_there_is_no_classifier():
    model = functional()
    base = lamella.Model(model.input, model.get_layer("second").output)
    np.testing.assert_array_equal(extract_features(base, None, IMAGES), base.predict(IMAGES, verbose=0))
    pooled = lamella.Model(model.input, model.get_layer("avg_pool").output)
    np.testing.assert_array_equal(extract_features(pooled, None, IMAGES), pooled.predict(IMAGES, verbose=0))


def test_a_classifier_that_is_a_convolution():
    head = [layers.GlobalAveragePooling2D(keepdims=True), layers.Conv2D(3, 1), layers.Flatten(), layers.Softmax()]
    model = lamella.Sequential([lamella.Input((8, 8, 3)), layers.Conv2D(6, 3), *head])
    expected = extract_features(model, 1, IMAGES).reshape(13, 6)
    np.testing.assert_array_equal(extract_features(model, None, IMAGES), expected)


def test_torch_modules_with_channels_second():
    model, images = Torch().train(), IMAGES.transpose(0, 3, 1, 2)
    before = copy.deepcopy(model.state_dict())
    kept = []
    twin = copy.deepcopy(model).eval()
    twin.body[1].register_forward_hook(lambda module, inputs, output: kept.append(output.detach()))
    with torch.no_grad():
        twin(torch.from_numpy(images))
    np.testing.assert_allclose(extract_features(model, "body.1", images), kept[0], atol=1e-6)
    pooled = extract_features(model, "body.1", images.astype("float64"), pooling="avg")
    np.testing.assert_allclose(pooled, kept[0].mean((2, 3)), atol=1e-6)
    np.testing.assert_allclose(extract_features(model, None, images), kept[0].relu().mean((2, 3)), atol=1e-6)
    assert all(module.training for module in model.modules())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


def test_a_torch_module_inside_a_model():
    body = Torch().body
    turn = layers.Permute((3, 1, 2))
    model = lamella.Sequential(
        [lamella.Input((8, 8, 3)), turn, layers.TorchModule(body, name="body"), layers.Flatten()]
    )
    with torch.no_grad():
        expected = body(torch.from_numpy(IMAGES).permute(0, 3, 1, 2)).mean((2, 3))
    np.testing.assert_allclose(extract_features(model, "body", IMAGES, pooling="avg"), expected, atol=1e-6)


def test_a_layer_inside_another_model():
    base = functional()
    outer = lamella.Sequential([lamella.Input((8, 8, 3)), layers.Rescaling(0.5), base, layers.Dense(2)])
    expected = extract_features(base, "second", IMAGES * 0.5)
    np.testing.assert_allclose(extract_features(outer, "second", IMAGES), expected, atol=1e-6)


def test_bytes_are_taken_as_numbers_and_lists_as_arrays():
    pictures = np.random.default_rng(2).integers(0, 256, (3, 8, 8, 3), dtype=np.uint8)
    for model in (functional(), Subclassed()):
        expected = extract_features(model, None, pictures.astype("float32"))
        np.testing.assert_array_equal(extract_features(model, None, pictures), expected)
        np.testing.assert_array_equal(extract_features(model, None, list(pictures)), expected)
        np.testing.assert_array_equal(extract_features(model, None, torch.from_numpy(pictures)), expected)


def test_of_a_layer_called_twice_the_first_output():
    shared = layers.Dense(3, "tanh", name="shared")
    inputs = lamella.Input((3,))
    model = lamella.Model(inputs, shared(shared(inputs)))
    x = IMAGES[:, 0, 0]
    np.testing.assert_array_equal(extract_features(model, "shared", x), shared(x).detach())


def test_what_is_wrong_is_said():
    model = functional()
    with pytest.raises(ArgumentError, match=r"no layer 'secnd'.*'second'"):
        extract_features(model, "secnd", IMAGES)
    with pytest.raises(ArgumentError, match="none at index 99"):
        extract_features(model, 99, IMAGES)
    with pytest.raises(ArgumentError, match="'alone' is not in the model"):
        extract_features(model, layers.Dense(2, name="alone"), IMAGES)
    with pytest.raises(DataError, match="no pictures"):
        extract_features(model, None, IMAGES[:0])
    with pytest.raises(ArgumentError, match="no single tensor but a tuple"):
        extract_features(nn.Sequential(nn.LSTM(3, 2)), 0, IMAGES[:, 0])
    idle = Torch()
    idle.idle = nn.Linear(2, 2)
    with pytest.raises(ArgumentError, match="'Linear' is not called"):
        extract_features(idle, "idle", IMAGES.transpose(0, 3, 1, 2))


# -- in scikit-learn --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def digits():
    x, y = load_digits(return_X_y=True)
    return x[:300].reshape(-1, 8, 8, 1).astype("float32"), y[:300]


def small():
    lamella.utils.set_random_seed(0)
    convolution = layers.Conv2D(8, 3, activation="relu", name="maps")
    return lamella.Sequential([lamella.Input((8, 8, 1)), convolution, layers.Flatten(name="flat"), layers.Dense(10)])


def test_a_pipeline_learns_from_features(digits):
    pipeline = make_pipeline(FeatureExtractor(small(), "maps"), StandardScaler(), LogisticRegression(max_iter=200))
    assert cross_val_score(pipeline, *digits, cv=3).min() > 0.88


def test_a_grid_search_chooses_the_layer_and_the_pooling(digits):
    pipeline = make_pipeline(FeatureExtractor(small(), "maps"), StandardScaler(), LogisticRegression(max_iter=300))
    grid = {"featureextractor__layer": ["maps", None], "featureextractor__pooling": [None, "avg"]}
    search = GridSearchCV(pipeline, grid, cv=2).fit(*digits)
    scores = dict(zip(map(str, search.cv_results_["params"]), search.cv_results_["mean_test_score"], strict=True))
    assert scores[str({"featureextractor__layer": "maps", "featureextractor__pooling": "avg"})] < 0.7
    assert search.best_score_ > 0.88


def test_a_clone_shares_the_network_and_a_pickle_has_its_own(digits):
    extractor = FeatureExtractor(small(), "maps", pooling="max", batch_size=7).fit(digits[0])
    twin = clone(extractor)
    assert twin.model is extractor.model
    assert twin.get_params() == extractor.get_params()
    expected = extractor.transform(digits[0])
    np.testing.assert_array_equal(twin.transform(digits[0]), expected)
    read = pickle.loads(pickle.dumps(extractor))
    assert read.model is not extractor.model
    np.testing.assert_array_equal(read.transform(digits[0]), expected)


def test_names_of_features(digits):
    extractor = FeatureExtractor(small(), "maps", pooling="avg").set_output(transform="pandas")
    frame = clone(extractor).fit_transform(digits[0])
    assert list(frame.columns) == [f"featureextractor{i}" for i in range(8)]
    with pytest.raises(ArgumentError, match="no layer 'mops'"):
        FeatureExtractor(small(), "mops").fit(digits[0])
