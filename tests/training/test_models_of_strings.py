"""Models that begin with strings: they are trained, evaluated, saved and served on arrays and lists of them."""

import json
import zipfile

import numpy as np
import pandas as pd
import pytest
import torch
from torch.utils.data import DataLoader

import lamella
from lamella import layers
from lamella.errors import ArgumentError, DataError

TEXTS = [("good great film" if i % 2 else "bad awful film") + f" number{i % 7}" for i in range(64)]
Y = np.arange(64) % 2
FORMS = {
    "list": TEXTS,
    "array": np.array(TEXTS),
    "objects": np.array(TEXTS, dtype=object),
    "column": np.array(TEXTS)[:, None],
    "bytes": np.array([text.encode() for text in TEXTS]),
    "series": pd.Series(TEXTS),
}


def reader(with_input=True, seed=0):
    lamella.utils.set_random_seed(seed)
    vectorize = layers.TextVectorization(output_sequence_length=5)
    vectorize.adapt(TEXTS)
    start = [lamella.Input((1,), dtype="string", name="text")] if with_input else []
    model = lamella.Sequential(
        [
            *start,
            vectorize,
            layers.Embedding(20, 8, mask_zero=True),
            layers.GlobalAveragePooling1D(),
            layers.Dense(1, "sigmoid"),
        ]
    )
    model.compile(lamella.optimizers.Adam(0.05), "binary_crossentropy", metrics=["accuracy"])
    return model


def table():
    rng = np.random.default_rng(0)
    colors = rng.choice(["red", "green", "blue"], 64)
    return {"text": np.array(TEXTS), "color": colors, "size": rng.normal(size=(64, 2))}


def of_columns():
    text, color = (lamella.Input((1,), dtype=kind, name=name) for kind, name in (("string", "text"), (str, "color")))
    size = lamella.Input((2,), name="size")
    parts = [
        layers.TextVectorization(vocabulary=["good", "bad"], output_mode="multi_hot")(text),
        layers.StringLookup(vocabulary=["red", "green"], output_mode="one_hot")(color),
        layers.Hashing(4, output_mode="one_hot")(color),
        size,
    ]
    inputs = {"text": text, "color": color, "size": size}
    model = lamella.Model(inputs, layers.Dense(1)(layers.Concatenate()(parts)))
    model.compile("adam", "mse")
    return model


@pytest.mark.parametrize("with_input", [True, False])
@pytest.mark.parametrize("form", FORMS)
def test_strings_of_every_form(form, with_input):
    model = reader(with_input)
    model.fit(FORMS[form], Y, epochs=12, verbose=0)
    assert model.evaluate(FORMS[form], Y, verbose=0)[1] == 1.0
    numbers = lamella.Sequential(model.layers[1:]).predict(model.layers[0](TEXTS), verbose=0)
    np.testing.assert_allclose(model.predict(FORMS[form], verbose=0), numbers, atol=1e-6)


def test_training_is_that_on_the_numbers():
    whole, apart = reader(), reader()
    rest = lamella.Sequential(apart.layers[1:])
    rest.compile(lamella.optimizers.Adam(0.05), "binary_crossentropy")
    indices = apart.layers[0](TEXTS)
    for model, x in ((whole, TEXTS), (rest, indices)):
        lamella.utils.set_random_seed(1)
        model.fit(x, Y, epochs=3, verbose=0, validation_split=0.25)
    for ours, theirs in zip(whole.get_weights(), rest.get_weights(), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-6)


def test_columns_of_strings_and_numbers():
    model, data = of_columns(), table()
    before = model.get_weights()[0].copy()
    model.fit(data, Y, verbose=0, validation_split=0.25)
    assert np.abs(model.get_weights()[0] - before).max() > 0
    predicted = model.predict(data, verbose=0)
    columns = {name: value[:, None] if value.ndim == 1 else value for name, value in data.items()}
    np.testing.assert_array_equal(model.predict(columns, verbose=0), predicted)
    np.testing.assert_allclose(
        model({name: data[name] for name in reversed(list(data))}).detach(), predicted, atol=1e-6
    )
    lists = {name: value.tolist() for name, value in data.items()}
    np.testing.assert_allclose(model(lists).detach(), predicted, atol=1e-6)


def test_streams_of_strings():
    model = reader()
    pairs = list(zip(TEXTS, Y.astype("float32"), strict=True))
    model.fit(DataLoader(pairs, batch_size=16), epochs=15, verbose=0)
    assert model.evaluate(((TEXTS[i : i + 8], Y[i : i + 8]) for i in range(0, 64, 8)), verbose=0)[1] == 1.0
    expected = model.predict(TEXTS, verbose=0)
    np.testing.assert_allclose(model.predict(DataLoader(TEXTS, batch_size=10), verbose=0), expected, atol=1e-6)
    np.testing.assert_allclose(model.predict_on_batch(TEXTS), expected, atol=1e-6)


def test_shuffled_rows_keep_their_targets():
    seen = []

    class Watch(layers.Layer):
        def call(self, inputs):
            if isinstance(inputs, np.ndarray):
                seen.append(inputs.reshape(-1))
                return torch.tensor([float(text[1:]) for text in inputs.reshape(-1)])[:, None]
            return torch.empty(*inputs.shape[:1], 1, device="meta")

    start = lamella.Input((1,), dtype="string")
    model = lamella.Model(start, layers.Dense(1, kernel_initializer="ones")(Watch()(start)))
    model.compile(lamella.optimizers.SGD(0.0), "mse")
    numbers = np.arange(100)
    history = model.fit(np.array([f"n{i}" for i in numbers]), numbers, batch_size=7, verbose=0)
    assert history.history["loss"][0] == 0.0
    order = [text for batch in seen[-15:] for text in batch]
    assert sorted(order) == sorted(f"n{i}" for i in numbers) and order != [f"n{i}" for i in numbers]


@pytest.mark.parametrize("model", [reader, lambda: reader(False), of_columns])
def test_saved_and_loaded(model, tmp_path):
    model = model()
    data = TEXTS if isinstance(model, lamella.Sequential) else table()
    model.fit(data, Y, verbose=0)
    expected = model.predict(data, verbose=0)
    model.save(tmp_path / "m.keras")
    loaded = lamella.saving.load_model(tmp_path / "m.keras")
    np.testing.assert_array_equal(loaded.predict(data, verbose=0), expected)
    loaded.fit(data, Y, verbose=0)
    with zipfile.ZipFile(tmp_path / "m.keras") as archive:
        assert "bits16" not in archive.read("config.json").decode()
        kinds = [each["config"].get("dtype") for each in json.loads(archive.read("config.json"))["config"]["layers"]]
    assert isinstance(model, lamella.Sequential) or kinds.count("string") == 2


@pytest.mark.parametrize("mode", ["multi_hot", "tf_idf"])
def test_a_subclassed_model_is_saved_with_its_vocabulary(mode, tmp_path):
    @lamella.saving.register_keras_serializable("test_models_of_strings")
    class Reader(lamella.Model):
        def __init__(self):
            super().__init__()
            self.vectorize = layers.TextVectorization(output_mode=mode)
            self.score = layers.Dense(1)

        def call(self, inputs):
            return self.score(self.vectorize(inputs))

    model = Reader()
    model.vectorize.adapt(TEXTS)
    model.compile("adam", "mse")
    model.fit(TEXTS, Y, verbose=0)
    model.save(tmp_path / "m.keras")
    loaded = lamella.saving.load_model(tmp_path / "m.keras")
    assert loaded.name == model.name
    np.testing.assert_array_equal(loaded.predict(TEXTS, verbose=0), model.predict(TEXTS, verbose=0))


def test_inside_other_models():
    inner = reader()
    outer = lamella.Sequential([inner, layers.Rescaling(2.0)])
    assert "string" in repr(outer.input)
    np.testing.assert_allclose(outer.predict(TEXTS, verbose=0), 2 * inner.predict(TEXTS, verbose=0), atol=1e-6)
    copy = lamella.models.clone_model(inner)
    assert copy.predict(TEXTS, verbose=0).shape == (64, 1)
    numbers = lamella.Model(inner.layers[0].output, inner.output)
    np.testing.assert_array_equal(numbers.predict(inner.layers[0](TEXTS), verbose=0), inner.predict(TEXTS, verbose=0))


def test_a_feature_space_prepares_strings_inside_the_model(tmp_path):
    space = layers.FeatureSpace if hasattr(layers, "FeatureSpace") else lamella.utils.FeatureSpace
    space = space({"color": "string_categorical", "age": "float_normalized"}, crosses=[])
    data = {"color": np.array(["red", "blue", "red", "green"]), "age": np.array([1.0, 2.0, 3.0, 4.0])}
    space.adapt(data)
    model = lamella.Model(space.get_inputs(), layers.Dense(1)(space.get_encoded_features()))
    model.compile("adam", "mse")
    model.fit(data, np.ones(4), verbose=0)
    np.testing.assert_allclose(
        model.predict(data, verbose=0), model.layers[-1](space(data)).detach(), atol=1e-6, rtol=1e-6
    )
    model.save(tmp_path / "space.keras")
    loaded = lamella.saving.load_model(tmp_path / "space.keras")
    np.testing.assert_array_equal(loaded.predict(data, verbose=0), model.predict(data, verbose=0))


def test_the_report_shows_the_texts(tmp_path):
    history = reader().fit(TEXTS, Y, epochs=2, verbose=0, validation_split=0.25)
    page = history.report(tmp_path / "report.html")
    assert "awful film number" in (tmp_path / "report.html").read_text(encoding="utf-8"), page


def test_what_is_refused():
    model, dense = reader(), lamella.Sequential([lamella.Input((1,)), layers.Dense(1)])
    unbuilt = lamella.Sequential([layers.Dense(1)])
    for each in (dense, unbuilt):
        each.compile("adam", "mse")
    for act, kind, message in (
        (lambda: dense.fit(TEXTS, Y, verbose=0), DataError, "must hold numbers, but got strings.*TextVectorization"),
        (lambda: unbuilt.fit(TEXTS, Y, verbose=0), DataError, "Dense .* computes with numbers.*TextVectorization"),
        (lambda: layers.Dense(1)(np.array(TEXTS)), DataError, "computes with numbers"),
        (lambda: layers.Dense(1)(lamella.Input((1,), dtype="string")), DataError, "computes with numbers"),
        (lambda: model.fit(np.ones((64, 1)), Y, verbose=0), DataError, "must hold strings, but got numbers"),
        (lambda: model.fit(TEXTS, np.array(["a", "b"] * 32), verbose=0), DataError, "y holds .* Encode them"),
        (lambda: model.fit([*TEXTS[:-1], None], Y, verbose=0), DataError, "1 of 64 are missing"),
        (lambda: model.fit(pd.Series([*TEXTS[:-1], np.nan]), Y, verbose=0), DataError, r"fillna\(''\)"),
        (lambda: model.fit(TEXTS[:-1], Y, verbose=0), DataError, "x has 63 samples, y has 64"),
        (lambda: model.predict("good film", verbose=0), DataError, r"a single string.*\['good film'\]"),
        (lambda: model.predict(np.array([["a", "b"]]), verbose=0), lamella.errors.ShapeError, r"\(None, 1\)"),
        (lambda: model.export("model.onnx"), ArgumentError, r"takes strings \(text\).*that_layer.output"),
    ):
        with pytest.raises(kind, match=f"(?s){message}"):
            act()


def test_strings_in_place_of_a_tensor():
    model = reader()
    for texts in (["good film", "bad"], [["good film"], ["bad"]], np.array(["good film", "bad"])):
        found = lamella.ops.convert_to_tensor(texts)
        assert found.shape[0] == 2 and isinstance(found, np.ndarray)
        np.testing.assert_array_equal(model.predict(found, verbose=0), model.predict(["good film", "bad"], verbose=0))
    assert lamella.ops.convert_to_tensor([1, 2]).tolist() == [1, 2]


def test_the_doctor_and_a_study_look_at_models_of_strings(recwarn):
    model = reader()
    watch = lamella.doctor.Doctor()
    model.fit(TEXTS, Y, epochs=2, verbose=0, validation_split=0.25, callbacks=[watch])
    of_columns().fit(table(), Y, epochs=2, verbose=0, callbacks=[lamella.doctor.Doctor()])
    assert not [each for each in recwarn if "doctor" in str(each.message).lower()]
    found = lamella.study.learning_rates(model, TEXTS, Y, epochs=1)
    assert len(found.runs) > 1


def test_batches_of_texts_are_read_as_tutorials_read_them(tmp_path):
    for name in ("neg", "pos"):
        (tmp_path / name).mkdir()
        for i in range(3):
            (tmp_path / name / f"{i}.txt").write_text(f"ein {name} Film über {i}", encoding="utf-8")
    data = lamella.utils.text_dataset_from_directory(tmp_path, batch_size=4, seed=1, verbose=False)
    for texts, labels in data.take(1):
        assert texts.numpy()[0].decode("utf-8") == texts[0] and len(texts.numpy()) == len(labels) == 4
    vectorize = layers.TextVectorization(output_mode="multi_hot")
    vectorize.adapt(data.map(lambda texts, labels: texts))
    model = lamella.Sequential([lamella.Input((1,), dtype="string"), vectorize, layers.Dense(1, "sigmoid")])
    model.compile("adam", "binary_crossentropy")
    model.fit(data, epochs=2, verbose=0)
    assert model.predict(data, verbose=0).shape == (6, 1)
