"""What a look at a trained model shows: right figures, and the model as it was."""

import base64
import io
import random

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA
from sklearn.metrics import confusion_matrix

import lamella
from lamella import Input, Model, Sequential, layers, losses
from lamella.report.embeddings import embeddings
from lamella.report.evidence import evidence
from lamella.report.forward import BeforeHead
from lamella.report.pictures import black_and_white, is_picture, png
from lamella.report.samples import given, of_arrays, of_stream

RNG = np.random.default_rng(0)
X = torch.tensor(RNG.normal(size=(300, 6)).astype("float32"))
CLASSES = torch.tensor(RNG.integers(0, 3, 300))


def compiled(*parts, loss, inputs=(6,)):
    lamella.utils.set_random_seed(1)
    model = Sequential([Input(inputs), *parts])
    model.compile("sgd", loss)
    return model


def look(model, x, y):
    return evidence(model, "training", of_arrays(x, y))


SPARSE, ONE_HOT, BINARY = "sparse_categorical_crossentropy", "categorical_crossentropy", "binary_crossentropy"
WAYS = {
    "softmax": ([layers.Dense(3, "softmax")], SPARSE, CLASSES),
    "column": ([layers.Dense(3, "softmax")], SPARSE, CLASSES[:, None].float()),
    "logits": ([layers.Dense(3)], losses.SparseCategoricalCrossentropy(from_logits=True), CLASSES),
    "one-hot": ([layers.Dense(3), layers.Softmax()], ONE_HOT, torch.eye(3)[CLASSES]),
    "one-hot logits": ([layers.Dense(3)], losses.CategoricalCrossentropy(from_logits=True), torch.eye(3)[CLASSES]),
    "one-hot with sigmoids": ([layers.Dense(3, "sigmoid")], BINARY, torch.eye(3)[CLASSES]),
    "sigmoid": ([layers.Dense(1, "sigmoid")], BINARY, CLASSES > 0),
    "sigmoid column": ([layers.Dense(1, "sigmoid")], BINARY, (CLASSES > 0).float()[:, None]),
    "one logit": ([layers.Dense(1)], losses.BinaryCrossentropy(from_logits=True), (CLASSES > 0).float()),
}


@pytest.mark.parametrize("way", WAYS)
def test_the_confusion_matrix_is_that_of_scikit_learn(way):
    parts, loss, y = WAYS[way]
    model = compiled(*parts, loss=loss)
    output = model.predict(X.numpy(), verbose=0)
    if output.shape[1] == 1:
        true, predicted = y.flatten().numpy(), output[:, 0] > (0 if way == "one logit" else 0.5)
    else:
        true, predicted = CLASSES.numpy(), output.argmax(1)
    found = look(model, X, y).confusion
    assert found.counts == confusion_matrix(true, predicted).tolist()
    assert found.labels == [str(i) for i in range(len(found.counts))]


def test_the_worst_mistakes_are_those_with_the_largest_losses():
    model = compiled(layers.Dense(3, "softmax"), loss=SPARSE)
    shares = model.predict(X.numpy(), verbose=0)
    each = -np.log(shares[np.arange(300), CLASSES])
    found = look(model, X, CLASSES).mistakes
    assert [mistake.index for mistake in found] == np.argsort(-each)[:12].tolist()
    assert [mistake.loss for mistake in found] == pytest.approx(np.sort(each)[::-1][:12].tolist(), rel=1e-4)
    worst = found[0]
    assert worst.true == str(int(CLASSES[worst.index]))
    assert worst.predicted == f"{shares[worst.index].argmax()} ({shares[worst.index].max():.0%})"
    assert worst.text == ", ".join(f"{value:.4g}" for value in X[worst.index].tolist())
    assert worst.picture is None


def test_regressions_have_residuals_and_their_mistakes():
    model = compiled(layers.Dense(2), loss="mse")
    y = X[:, :2]
    output = model.predict(X.numpy(), verbose=0)
    found = look(model, X, y)
    assert found.confusion is None
    assert found.residuals.true == y.flatten().tolist()
    assert found.residuals.predicted == pytest.approx(output.flatten().tolist(), rel=1e-5)
    worst = ((output - y.numpy()) ** 2).mean(1).argmax()
    assert found.mistakes[0].index == worst
    assert found.mistakes[0].true == ", ".join(f"{value:.4g}" for value in y[worst].tolist())


def test_of_many_samples_some_from_all_over_are_looked_at():
    x = torch.arange(5000.0)[:, None]
    found = look(compiled(layers.Dense(1), loss="mse", inputs=(1,)), x, x * 0 + x)
    assert found.samples == 2000
    assert len(found.residuals.true) == 1000
    assert found.residuals.true[0] == 0 and found.residuals.true[-1] > 4990
    assert found.mistakes[0].index == 4999


def test_names_of_classes_and_texts():
    texts = ["good film", "a bad film", "very good", "so bad"] * 5
    labels = ["+", "-", "+", "-"] * 5
    pytest.importorskip("tokenizers")
    from lamella.language import TextClassifier, Tokenizer

    model = TextClassifier(["-", "+"], Tokenizer.train(texts, kind="word"), "dnn")
    model.compile("adam")
    history = model.fit(texts, labels, epochs=1, verbose=0)
    as_strings = evidence(model, "given", given(model, (texts, labels)))
    assert as_strings.samples == 20
    assert as_strings.confusion.labels == ["-", "+"]
    assert {mistake.text for mistake in as_strings.mistakes} <= set(texts)
    assert {mistake.true for mistake in as_strings.mistakes} <= {"+", "-"}
    as_tokens = evidence(model, "training", of_arrays(history.data.x, history.data.y))
    assert {mistake.text for mistake in as_tokens.mistakes} <= set(texts)


def test_inputs_by_name_and_lists_of_inputs():
    a, b = Input((6,), name="a"), Input((2,), name="b")
    joined = layers.Dense(4, name="joined")(layers.Concatenate()([a, b]))
    for inputs, x in (({"a": a, "b": b}, {"a": X, "b": X[:, :2]}), ([a, b], [X, X[:, :2]])):
        model = Model(inputs, layers.Dense(1)(joined))
        model.compile("sgd", "mse")
        found = look(model, x, X[:, 0])
        assert (found.samples, len(found.mistakes), found.embeddings.layer) == (300, 12, "joined")
    assert found.mistakes[0].text.count(";") == 1


SPARED = {
    "several outputs": lambda: Model(inputs := Input((6,)), [layers.Dense(1)(inputs), layers.Dense(1)(inputs)]),
    "a sequence": lambda: Sequential([Input((6,)), layers.Reshape((6, 1)), layers.Dense(1)]),
    "no loss": lambda: Sequential([Input((6,)), layers.Dense(1)]),
}


@pytest.mark.parametrize("case", SPARED)
def test_what_cannot_be_known_is_left_out(case):
    model = SPARED[case]()
    model.compile("sgd", None if case == "no loss" else "mse")
    y = {"several outputs": [X[:, 0], X[:, 1]], "a sequence": X[..., None], "no loss": X[:, 0]}[case]
    found = look(model, X, y)
    assert (found.confusion, found.residuals, found.mistakes, found.filters) == (None, None, [], None)


def test_several_labels_and_many_classes_have_no_matrix():
    model = compiled(layers.Dense(3, "sigmoid"), loss=BINARY)
    assert look(model, X, (X[:, :3] > 0).float()).confusion is None
    model = compiled(layers.Dense(31, "softmax"), loss=SPARSE)
    found = look(model, X, CLASSES)
    assert found.confusion is None
    assert len(found.mistakes) == 12


def test_a_failure_is_a_warning_and_leaves_the_rest():
    class Fails(layers.Layer):
        def call(self, x):
            if isinstance(x, torch.Tensor) and x.device.type != "meta" and len(x) > 3:
                raise RuntimeError("it fails")
            return x

    model = compiled(layers.Conv2D(4, 3), Fails(), layers.Flatten(), layers.Dense(1), loss="mse", inputs=(6, 6, 1))
    with pytest.warns(UserWarning, match="The report leaves something out: RuntimeError: it fails"):
        found = look(model, torch.zeros(8, 6, 6, 1), torch.zeros(8))
    assert (found.mistakes, found.samples) == ([], 0)


def test_a_model_with_its_own_step_is_looked_at_if_it_takes_inputs_alone():
    class Own(Model):
        def __init__(self, pairs):
            super().__init__()
            self.pairs, self.dense = pairs, layers.Dense(1)

        def call(self, inputs):
            return self.dense(inputs[0] if self.pairs else inputs)

        def train_step(self, data):
            raise NotImplementedError

    for pairs, samples in ((False, 300), (True, 0)):
        model = Own(pairs)
        model((X, X) if pairs else X)
        model.compile("sgd", "mse")
        assert look(model, X, X[:, 0]).samples == samples


def test_the_model_and_all_random_states_are_as_before():
    model = compiled(layers.Dense(4), layers.BatchNormalization(), layers.Dropout(0.5), layers.Dense(1), loss="mse")
    model.train()
    model.layers[2].eval()
    before = [weight.clone() for weight in model.weights]
    states = torch.get_rng_state(), np.random.get_state()[1].tolist(), random.getstate()

    def shuffled():
        for _ in range(3):
            rows = torch.randperm(300)[: random.randrange(20, 30)]
            yield X[rows], X[rows, 0] * float(np.random.random()), None

    evidence(model, "training", of_stream(shuffled()))
    assert torch.equal(torch.get_rng_state(), states[0])
    assert (np.random.get_state()[1].tolist(), random.getstate()) == states[1:]
    assert [layer.training for layer in model.layers] == [True, True, False, True]
    assert all(torch.equal(a, b) for a, b in zip(model.weights, before, strict=True))
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


def test_embeddings_are_the_principal_components_before_the_last_layer():
    model = compiled(
        layers.Dense(5, "relu", name="hidden"), layers.Dropout(0.5), layers.Dense(3, "softmax"), loss=SPARSE
    )
    found = look(model, X, CLASSES).embeddings
    hidden = Model(model.inputs, model.get_layer("hidden").output).predict(X.numpy(), verbose=0)
    pca = PCA(2).fit(hidden)
    assert found.layer == "hidden"
    assert np.abs(np.array(found.points)) == pytest.approx(np.abs(pca.transform(hidden)), abs=1e-3)
    assert found.variance == pytest.approx(pca.explained_variance_ratio_.sum(), abs=1e-4)
    assert found.classes == CLASSES.tolist()
    assert found.labels == ["0", "1", "2"]


def test_embeddings_of_too_little_are_none():
    before = BeforeHead()
    assert embeddings(before, None) is None
    before.layer = "dense"
    for features in (torch.zeros(5, 3), torch.ones(1, 3), torch.rand(5, 1), torch.full((5, 3), torch.nan)):
        before.parts = [features]
        assert embeddings(before, None) is None


def pixels(address):
    image = pytest.importorskip("PIL.Image")
    assert address.startswith("data:image/png;base64,")
    return np.asarray(image.open(io.BytesIO(base64.b64decode(address.partition(",")[2]))))


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0, 255, (0, 255)),
        (0, 16, (0, 16)),
        (0.0, 0.9, (0, 1)),
        (-1.0, 0.9, (-1, 1)),
        (-2.1, 2.6, (-2.1, 2.6)),
        (3, 3, (3, 3)),
    ],
)
def test_black_and_white(low, high, expected):
    assert black_and_white(low, high) == expected


def test_pictures_show_the_numbers():
    grey = torch.arange(64).reshape(8, 8)
    assert pixels(png(grey, 0, 63)).tolist() == (grey / 63 * 255).round().int().tolist()
    colour = torch.rand(8, 9, 3) * 2 - 1
    expected = np.round((colour.numpy() + 1) / 2 * 255)
    assert pixels(png(colour, -1, 1)) == pytest.approx(expected, abs=1)
    assert (pixels(png(colour.permute(2, 0, 1), -1, 1)) == pixels(png(colour, -1, 1))).all()
    assert pixels(png(grey[..., None], 0, 63)).shape == (8, 8)
    assert max(pixels(png(torch.rand(500, 300), 0, 1)).shape) == 96
    assert pixels(png(torch.full((8, 8), torch.nan), 0, 1)).max() == 0


def test_what_looks_like_a_picture():
    yes = [torch.zeros(8, 8), torch.zeros(28, 20, 3), torch.zeros(3, 28, 20), torch.zeros(28, 20, dtype=torch.uint8)]
    no = [torch.zeros(64), torch.zeros(100, 8), torch.zeros(28, 20, 5), torch.zeros(2, 2), torch.zeros(4, 5, 6, 3)]
    assert all(map(is_picture, yes))
    assert not any(map(is_picture, no))


def test_pictures_among_the_mistakes_and_filters():
    x = torch.rand(40, 12, 12, 3)
    model = compiled(
        layers.Conv2D(70, 5, name="eyes"),
        layers.Conv2D(2, 3),
        layers.GlobalAveragePooling2D(),
        layers.Dense(3, "softmax"),
        loss=SPARSE,
        inputs=(12, 12, 3),
    )
    found = look(model, x, CLASSES[:40])
    worst = found.mistakes[0]
    assert pixels(worst.picture) == pytest.approx((x[worst.index] * 255).round().numpy(), abs=1)
    assert (found.filters.layer, len(found.filters.pictures)) == ("eyes", 64)
    kernel = model.get_layer("eyes").kernel[..., 0].detach()
    scaled = (kernel - kernel.min()) / (kernel.max() - kernel.min()) * 255
    assert pixels(found.filters.pictures[0]) == pytest.approx(scaled.numpy(), abs=1)


def test_without_pillow_pictures_are_numbers(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "PIL", None)
    model = compiled(layers.Conv2D(2, 3), layers.Flatten(), layers.Dense(1), loss="mse", inputs=(6, 6, 1))
    found = look(model, torch.rand(8, 6, 6, 1), torch.zeros(8))
    assert found.filters is None
    assert found.mistakes[0].picture is None and found.mistakes[0].text.endswith(", ...")
