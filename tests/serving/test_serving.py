"""`lamella.serving`: what a server answers is what the model predicts, and what it refuses it explains."""

import base64
import io
import json
import re
import socket
import threading
import time

import numpy as np
import pytest
import torch

import lamella
from lamella import layers
from lamella.errors import ArgumentError
from lamella.language import BERT, BERTClassifier, TextClassifier, Tokenizer
from lamella.serving import create_app, signature_of


def close(found, wanted):
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)


def small(name="iris", units=3, activation="softmax"):
    return lamella.Sequential([lamella.Input((4,), name="flower"), layers.Dense(units, activation)], name=name)


def picture_model(shape=(8, 8, 1)):
    return lamella.Sequential([lamella.Input(shape), layers.Flatten(), layers.Dense(2)], name="pictures")


def png(array, kind="PNG"):
    image = pytest.importorskip("PIL.Image").fromarray(array)
    file = io.BytesIO()
    image.save(file, kind)
    return file.getvalue()


def form(parts, boundary="a-boundary"):
    """A multipart/form-data body of (name, file name or None, bytes), and its header."""
    body = b""
    for name, file, content in parts:
        told = f'; filename="{file}"' if file else ""
        body += (
            f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"{told}\r\n\r\n'.encode() + content + b"\r\n"
        )
    return body + f"--{boundary}--\r\n".encode(), {"Content-Type": f"multipart/form-data; boundary={boundary}"}


# -- predictions ---------------------------------------------------------------------------------------------------


def test_answers_are_predictions(serve, rng):
    model = small()
    with serve(create_app(model, class_names=["a", "b", "c"], max_batch=4)) as client:
        for samples in (1, 3, 11):  # 11 are more than the model sees at once
            x = rng.normal(size=(samples, 4)).astype("float32")
            status, answer = client.predict(x.tolist())
            wanted = model.predict(x, verbose=0)
            assert status == 200
            close(answer["outputs"], wanted)
            assert answer["classes"] == ["abc"[i] for i in wanted.argmax(-1)]


def test_several_inputs_and_outputs_go_by_name(serve, rng):
    words = lamella.Input((None,), dtype="int32", name="words")
    age = lamella.Input((1,), name="its age")
    seen = layers.GlobalAveragePooling1D()(layers.Embedding(20, 4)(words))
    joined = layers.Concatenate()([seen, age])
    model = lamella.Model([words, age], [layers.Dense(3, name="kind")(joined), layers.Dense(1, name="price")(joined)])
    x = [rng.integers(0, 20, (5, 7)), rng.normal(size=(5, 1)).astype("float32")]
    with serve(create_app(model)) as client:
        status, answer = client.predict({"its age": x[1].tolist(), "words": x[0].tolist()})
        assert status == 200
        for name, wanted in zip(model.output_names, model.predict(x, verbose=0), strict=True):
            close(answer["outputs"][name], wanted)
        refused = [
            ({"words": [[1]]}, "missing_field", "inputs.its age"),
            ({"words": [[1]], "its age": [[1.0], [2.0]]}, "wrong_shape", "inputs"),
            ({"words": [[20]], "its age": [[1.0]]}, "out_of_range", "inputs.words[0][0]"),
            ({"words": [[1.5]], "its age": [[1.0]]}, "wrong_type", "inputs.words[0][0]"),
            ({"words": [[1], [1, 2]], "its age": [[1.0], [2.0]]}, "wrong_shape", "inputs.words"),
            ({"words": [[1]], "its age": [[1.0]], "more": 1}, "unknown_field", "inputs.more"),
        ]
        for inputs, kind, where in refused:
            status, answer = client.predict(inputs)
            assert (status, answer["error"]["kind"], answer["error"]["where"]) == (422, kind, where)
        schema = client("GET", "/schema")[1]
    assert [each["name"] for each in schema["inputs"]] == ["words", "its age"]
    assert set(schema["request"]["properties"]["inputs"]["properties"]) == {"words", "its age"}


def test_pictures_come_in_many_forms(serve, rng):
    model = picture_model()
    pixels = rng.integers(0, 256, (8, 8), dtype="uint8")
    wanted = model.predict(pixels[None, ..., None] / 255, verbose=0)
    file, encoded = png(pixels), base64.b64encode(png(pixels)).decode()
    with serve(create_app(model, pixel_range=(0, 1))) as client:
        body, header = form([("anything", "a.png", file), ("anything", "b.png", file)])
        answers = [
            client.predict([(pixels[..., None] / 255).tolist()]),
            client.predict([encoded]),
            client.predict(["data:image/png;base64," + encoded]),
            client("POST", "/predict", file, {"Content-Type": "image/png"}),
            client("POST", "/predict", body, header),
        ]
        for status, answer, *_ in answers:
            assert status == 200, answer
            close(answer["outputs"][:1], wanted)
        assert len(answers[-1][1]["outputs"]) == 2
        large = np.full((40, 30, 3), 255, "uint8")  # in colour, and of another size
        status, answer = client.predict([base64.b64encode(png(large, "JPEG")).decode()])
        close(answer["outputs"], model.predict(np.ones((1, 8, 8, 1)), verbose=0))


def test_pictures_and_numbers_in_one_form(serve, rng):
    photo, age = lamella.Input((4, 4, 3), name="photo"), lamella.Input((2,), name="age")
    model = lamella.Model([photo, age], layers.Dense(1)(layers.Concatenate()([layers.Flatten()(photo), age])))
    pixels = rng.integers(0, 256, (4, 4, 3), dtype="uint8")
    with serve(create_app(model)) as client:
        body, header = form([("age", None, b"[[1.0, 2.0]]"), ("photo", "a.png", png(pixels))])
        status, answer, _ = client("POST", "/predict", body, header)
        assert status == 200, answer
        close(answer["outputs"], model.predict([pixels[None].astype("float32"), np.array([[1.0, 2.0]])], verbose=0))
        for parts, kind in (
            ([("age", None, b"[[1.0, 2.0]]")], "wrong_shape"),
            ([("age", "a.txt", b"[[1.0, 2.0]]"), ("photo", "a.png", png(pixels))], "wrong_type"),
            ([("age", None, b"[[1.0, 2.0]], 3"), ("photo", "a.png", png(pixels))], "bad_json"),
            ([("aeg", None, b"[[1.0, 2.0]]")], "unknown_field"),
            ([("age", None, b"[[1.0, 2.0]]"), ("photo", "a.png", png(pixels)[:50])], "bad_picture"),
        ):
            body, header = form(parts)
            status, answer, _ = client("POST", "/predict", body, header)
            assert 400 <= status < 500 and answer["error"]["kind"] == kind, answer


def test_pictures_of_any_size(serve, rng):
    model = lamella.Sequential([lamella.Input((None, None, 3)), layers.GlobalAveragePooling2D()])
    pixels = rng.integers(0, 256, (5, 9, 3), dtype="uint8")
    with serve(create_app(model, max_length=16)) as client:
        status, answer = client.predict([base64.b64encode(png(pixels)).decode()])
        close(answer["outputs"], pixels.mean((0, 1))[None])
        two = [base64.b64encode(png(each)).decode() for each in (pixels, pixels[:4])]
        assert client.predict(two)[1]["error"]["kind"] == "wrong_shape"
        status, answer = client.predict([base64.b64encode(png(np.zeros((4, 17, 3), "uint8"))).decode()])
        assert status == 422 and "at most 16" in answer["error"]["message"]
        assert client.predict(np.zeros((1, 2, 17, 3)).tolist())[0] == 422


def test_texts_are_read(serve):
    texts = ["good film", "a bad film indeed", "very good", "so bad", "é ☃ 字"]
    model = TextClassifier(["bad", "good"], Tokenizer.train(texts[:4], kind="word"), "cnn")
    wanted = model.predict(texts)
    with serve(create_app(model)) as client:
        found = [None] * len(texts)

        def ask(i):
            found[i] = client.predict([texts[i]])[1]

        threads = [threading.Thread(target=ask, args=(i,)) for i in range(len(texts))]
        [thread.start() for thread in threads]
        [thread.join() for thread in threads]
        close([answer["outputs"][0] for answer in found], wanted)
        assert client.predict(texts)[1]["classes"] == model.predict_classes(texts)
        assert client("GET", "/schema")[1]["inputs"][0]["kind"] == "text"
        for inputs in ([3], "a text", [["nested"]], [None], []):
            assert client.predict(inputs)[0] == 422


def test_texts_are_read_by_bert(serve):
    tokenizer = Tokenizer.train(["good film", "a bad film"], kind="word")
    encoder = BERT(tokenizer.vocabulary_size, 8, num_layers=1, num_heads=2, width=8, tokenizer=tokenizer)
    model = BERTClassifier(encoder, ["bad", "good"])
    texts = ["good", "a bad film"]
    with serve(create_app(model)) as client:
        status, answer = client.predict(texts)
        assert status == 200, answer
        close(answer["outputs"], model.predict(encoder.encode(texts), verbose=0))
        assert client("GET", "/schema")[1]["outputs"][0]["scores"] == "logits"


def test_a_mounted_application_needs_no_lifespan(serve, rng):
    from fastapi import FastAPI

    model, app = small(), FastAPI()
    app.mount("/models/iris", create_app(model))
    x = rng.normal(size=(2, 4)).astype("float32")
    with serve(app) as client:
        body = json.dumps({"inputs": x.tolist()})
        status, answer, _ = client("POST", "/models/iris/predict", body, {"Content-Type": "application/json"})
        assert status == 200
        close(answer["outputs"], model.predict(x, verbose=0))


# -- batches -------------------------------------------------------------------------------------------------------


class Slow(layers.Layer):
    """Notes how many samples it gets, waits, and doubles them; it cannot stand what is below zero."""

    def __init__(self, seconds):
        super().__init__()
        self.seconds, self.sizes = seconds, []

    def call(self, x):
        if x.device.type == "meta":
            return x * 2
        self.sizes.append(len(x))
        time.sleep(self.seconds)
        if (x < 0).any():
            raise ValueError("below zero.")
        return x * 2


def slow(seconds):
    layer = Slow(seconds)
    model = lamella.Sequential([lamella.Input((1,)), layer])
    layer.sizes.clear()
    return model, layer.sizes


def ask_at_once(client, inputs):
    found = [None] * len(inputs)

    def ask(i):
        found[i] = client("POST", "/predict", json.dumps({"inputs": inputs[i]}), {"Content-Type": "application/json"})

    threads = [threading.Thread(target=ask, args=(i,)) for i in range(len(inputs))]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    return found


def test_waiting_requests_are_joined_and_each_gets_its_own(serve):
    model, sizes = slow(0.1)
    with serve(create_app(model, max_batch=8)) as client:
        sizes.clear()
        found = ask_at_once(client, [[[float(i)]] for i in range(24)])
        assert [answer["outputs"] for _, answer, _ in found] == [[[2.0 * i]] for i in range(24)]
        assert max(sizes) <= 8 and sum(sizes) == 24 and len(sizes) <= 12
        text = client("GET", "/metrics")[1].decode()
    batches = float(re.search(r"^lamella_batch_samples_count (\S+)", text, re.MULTILINE)[1])
    assert batches == len(sizes)
    assert 'lamella_requests_total{path="/predict",status="200"} 24.0' in text
    assert "lamella_batch_samples_sum 24.0" in text
    assert "lamella_predict_seconds_count 24.0" in text and "lamella_queue_samples 0.0" in text


def test_one_by_one(serve):
    model, sizes = slow(0.005)
    with serve(create_app(model, max_batch=1)) as client:
        sizes.clear()
        assert {status for status, *_ in ask_at_once(client, [[[1.0]]] * 10)} == {200}
        assert sizes == [1] * 10


def test_the_first_waits_for_others_but_not_for_long(serve):
    model, sizes = slow(0)
    with serve(create_app(model, max_batch=2, max_wait_ms=400)) as client:
        sizes.clear()
        start = time.monotonic()
        assert client.predict([[1.0]])[0] == 200
        assert time.monotonic() - start >= 0.4 and sizes == [1]
    with serve(create_app(model, max_batch=2, max_wait_ms=60_000)) as client:
        sizes.clear()
        start = time.monotonic()
        ask_at_once(client, [[[1.0]], [[2.0]]])
        assert time.monotonic() - start < 20  # a full batch does not wait
        assert sizes == [2]


def test_a_bad_request_harms_none_of_its_batch(serve):
    model, sizes = slow(0.05)
    with serve(create_app(model, max_batch=8, max_wait_ms=100)) as client:
        sizes.clear()
        found = ask_at_once(client, [[[float(i)]] for i in (1, -1, 2, 3)])
        assert max(sizes) > 1
        assert [status for status, *_ in found] == [200, 422, 200, 200]
        assert found[1][1]["error"]["kind"] == "refused_by_model" and "below zero" in found[1][1]["error"]["message"]
        assert [found[i][1]["outputs"] for i in (0, 2, 3)] == [[[2.0]], [[4.0]], [[6.0]]]


def test_shapes_are_not_mixed(serve, rng):
    model = lamella.Sequential([lamella.Input((None, 2)), layers.GlobalAveragePooling1D()])
    inputs = [rng.normal(size=(1, length, 2)).tolist() for length in (1, 2, 3, 1, 2, 3)]
    with serve(create_app(model, max_wait_ms=50)) as client:
        for (status, answer, _), x in zip(ask_at_once(client, inputs), inputs, strict=True):
            assert status == 200
            close(answer["outputs"], np.mean(x, 1))


def test_a_full_queue_and_a_long_wait_are_told(serve):
    model, _ = slow(0.9)
    with serve(create_app(model, max_batch=1, max_queue=2, timeout=1.5, max_wait_ms=0)) as client:
        found = ask_at_once(client, [[[1.0]]] * 10)
        statuses = [status for status, *_ in found]
        assert set(statuses) == {200, 503, 504} and statuses.count(200) <= 2
        for status, answer, headers in found:
            if status == 503:
                assert answer["error"]["kind"] == "busy" and int(headers["Retry-After"]) >= 1
            if status == 504:
                assert answer["error"]["kind"] == "timeout" and "1.5 s" in answer["error"]["message"]
        time.sleep(1.8)
        assert client.predict([[1.0]]) == (200, {"outputs": [[2.0]]})


# -- limits and errors -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("inputs", "kind", "where", "told"),
    [
        ([1, 2, 3, 4], "wrong_shape", "inputs[0]", "expected a list of 4.* found the number 1"),
        (
            [[1, 2, 3]],
            "wrong_shape",
            "inputs[0]",
            "expected a list of 4, as the shape is .samples, 4.; found a list of 3",
        ),
        (
            [[1, 2, 3, 4], [1, 2, 3, "4"]],
            "wrong_type",
            "inputs[1][3]",
            "expected a finite number .float32.; found the text",
        ),
        ([[1, 2, 3, True]], "wrong_type", "inputs[0][3]", "found true"),
        ([[1, 2, 3, None]], "wrong_type", "inputs[0][3]", "found null"),
        ([[1, 2, 3, [4]]], "wrong_type", "inputs[0][3]", "found a list of 1"),
        ([[1, 2, 3, float("nan")]], "not_finite", "inputs[0][3]", "NaN"),
        ([[1, 2, 3, 1e39]], "out_of_range", "inputs[0][3]", "float32.*1e\\+39"),
        ([[3e38] * 4], "not_finite", "inputs", "output .* is not finite"),
        ([], "wrong_shape", "inputs", "at least one sample"),
        ([[0] * 4] * 9, "wrong_shape", "inputs", "at most 8 samples"),
        ({"flower": [[1, 2, 3, 4]]}, "wrong_shape", "inputs", "found an object"),
    ],
)
def test_what_does_not_fit_is_told(serve, inputs, kind, where, told):
    model = small(activation=None)
    model.layers[0].kernel.data.fill_(3.0)
    with serve(create_app(model, max_samples=8)) as client:
        status, answer = client.predict(inputs)
    assert status == 422
    assert (answer["error"]["kind"], answer["error"]["where"]) == (kind, where), answer
    assert re.search(told, answer["error"]["message"]), answer


def raw(port, *chunks, pause=0.0):
    """What comes back for bytes sent as they are."""
    with socket.create_connection(("127.0.0.1", port), timeout=15) as connection:
        for chunk in chunks:
            connection.sendall(chunk)
            time.sleep(pause)
        answer = b""
        while part := connection.recv(65536):
            answer += part
    return answer


def test_large_and_slow_bodies_are_refused(serve):
    head = b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    with serve(create_app(small(), max_body=10_000, timeout=0.5)) as client:
        answer = raw(client.port, head + b"Content-Length: 20000\r\n\r\n", b"x" * 20000)
        assert answer.startswith(b"HTTP/1.1 413") and b'"too_large"' in answer
        chunks = [b"800\r\n" + b"[" * 2048 + b"\r\n" for _ in range(10)]
        answer = raw(client.port, head + b"Transfer-Encoding: chunked\r\n\r\n", *chunks, b"0\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 413") and b'"too_large"' in answer
        start = time.monotonic()
        answer = raw(client.port, head + b"Content-Length: 20\r\n\r\n", b"{")
        assert answer.startswith(b"HTTP/1.1 408") and time.monotonic() - start < 15
        body = b'{"inputs": [[1, 2, 3, 4]]}'
        fits = raw(
            client.port,
            head + b"Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n",
            b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body),
        )
        assert fits.startswith(b"HTTP/1.1 200")


def test_a_bomb_is_no_picture(serve):
    image = pytest.importorskip("PIL.Image").new("1", (6000, 6000))
    file = io.BytesIO()
    image.save(file, "PNG")
    assert len(file.getvalue()) < 20_000
    with serve(create_app(picture_model())) as client:
        status, answer, _ = client("POST", "/predict", file.getvalue(), {"Content-Type": "image/png"})
        assert status == 413 and "6000 x 6000" in answer["error"]["message"]


def test_the_other_paths(serve):
    with serve(create_app(small())) as client:
        assert client("GET", "/health")[:2] == (200, {"status": "ok"})
        assert client("GET", "/ready")[:2] == (200, {"ready": True})
        schema = client("GET", "/schema")[1]
        assert schema["inputs"] == [
            {"name": "flower", "kind": "numbers", "shape": [4], "dtype": "float32", "picture": False}
        ]
        assert schema["outputs"][0]["scores"] == "probabilities"
        api = client("GET", "/openapi.json")[1]
        body = api["paths"]["/predict"]["post"]["requestBody"]["content"]["application/json"]["schema"]
        assert body == schema["request"]
        status, answer, headers = client("GET", "/predict")
        assert status == 405 and answer["error"]["kind"] == "wrong_method" and headers["Allow"] == "POST"
        status, answer, _ = client("GET", "/prediction")
        assert status == 404 and "/predict" in answer["error"]["message"]
        status, answer, _ = client("POST", "/predict", b"x=1", {"Content-Type": "application/x-www-form-urlencoded"})
        assert status == 415 and "application/json" in answer["error"]["message"]


def test_the_page_stands_alone(serve):
    with serve(create_app(picture_model())) as client:
        status, page, headers = client("GET", "/")
    page = page.decode()
    assert status == 200 and headers["content-type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in headers["content-security-policy"]
    assert not re.search(r"(https?:)?//\w+\.\w", page) and not re.search(r"<(link|script)[^>]+(href|src)", page)
    english, chinese = (set(re.findall(r"(\w+): \"", part)) for part in page.split("const WORDS")[1].split("zh: {")[:2])
    used = set(re.findall(r"\bt\(\"(\w+)\"\)", page)) | set(re.findall(r"data-t=\"(\w+)\"", page))
    assert used <= english and used <= chinese
    for needed in ("prefers-color-scheme: dark", "viewport", "aria-live", "aria-label", "keydown"):
        assert needed in page


# -- signatures ------------------------------------------------------------------------------------------------------


def test_what_the_outputs_are_is_found_from_the_model():
    assert signature_of(small()).outputs[0].scores == "probabilities"
    assert signature_of(small(activation="sigmoid")).outputs[0].scores == "sigmoid"
    model = small(activation=None)
    assert signature_of(model).outputs[0].scores == "numbers"
    model.compile("adam", lamella.losses.SparseCategoricalCrossentropy(from_logits=True))
    assert signature_of(model).outputs[0].scores == "logits"
    model = lamella.Sequential([lamella.Input((4,)), layers.Dense(3), layers.Softmax()])
    assert signature_of(model).outputs[0].scores == "probabilities"


def test_two_classes_in_one_number(serve):
    model = small(units=1, activation="sigmoid")
    model.layers[0].kernel.data.fill_(1.0)
    with serve(create_app(model, class_names=["no", "yes"])) as client:
        assert client.predict([[1, 0, 0, 0], [-1, 0, 0, 0]])[1]["classes"] == ["yes", "no"]


class Subclassed(lamella.Model):
    def call(self, x):
        return x * 2


def test_what_cannot_be_served_is_told():
    with pytest.raises(ArgumentError, match=r"Subclassed cannot be served.*lamella\.Model\(x, model\(x\)\)"):
        create_app(Subclassed())
    with pytest.raises(ArgumentError, match="2 names of classes do not fit"):
        create_app(small(), class_names=["a", "b"])
    for options in ({"max_batch": 0}, {"timeout": -1}, {"max_wait_ms": -1}, {"pixel_range": (1, 1)}, {"max_body": 0}):
        with pytest.raises(ArgumentError, match=next(iter(options))):
            create_app(small(), **options)


def test_a_wrapped_subclassed_model_is_served(serve):
    x = lamella.Input((3,))
    with serve(create_app(lamella.Model(x, Subclassed()(x)))) as client:
        assert client.predict([[1, 2, 3]]) == (200, {"outputs": [[2.0, 4.0, 6.0]]})


def test_other_data_types(serve):
    for dtype, sample, bad in (
        ("bool", [True, False], [1, 0]),
        ("uint8", [0, 255], [0, 256]),
        ("int64", [2, -3], [2.5, 1]),
    ):
        x = lamella.Input((2,), dtype=dtype)
        model = lamella.Model(x, layers.Lambda(lambda x: x.to(torch.float32) + 0)(x))
        with serve(create_app(model)) as client:
            assert client.predict([sample]) == (200, {"outputs": [[float(each) for each in sample]]})
            assert client.predict([bad])[0] == 422


def test_strings_and_numbers_of_a_functional_model(serve):
    text, color = (lamella.Input((1,), dtype="string", name=name) for name in ("text", "color"))
    size = lamella.Input((2,), name="size")
    parts = [
        layers.TextVectorization(vocabulary=["good", "bad"], output_mode="multi_hot")(text),
        layers.StringLookup(vocabulary=["red", "green"], output_mode="one_hot")(color),
        size,
    ]
    model = lamella.Model([text, color, size], layers.Dense(2)(layers.Concatenate()(parts)))
    given = {"text": ["good film", "bad"], "color": ["red", "blue"], "size": [[1.0, 2.0], [0.5, -1.0]]}
    wanted = model.predict([np.array(given["text"]), np.array(given["color"]), np.array(given["size"])], verbose=0)
    with serve(create_app(model)) as client:
        kinds = [each["kind"] for each in client("GET", "/schema")[1]["inputs"]]
        assert kinds == ["text", "text", "numbers"]
        status, answer = client.predict(given)
        assert status == 200, answer
        close(answer["outputs"], wanted)
        for wrong in ({"text": [3, 4]}, {"color": [["red"], ["blue"]]}, {"size": ["a", "b"]}, {"text": ["one"]}):
            assert client.predict({**given, **wrong})[0] == 422
    several = lamella.Model(start := lamella.Input((3,), dtype="string"), layers.Hashing(4)(start))
    with pytest.raises(ArgumentError, match="one string a sample"):
        create_app(several)


def test_texts_are_read_by_a_layer(serve, tmp_path):
    texts = ["good film", "a bad film indeed", "é ☃ 字", ""]
    layer = layers.TextVectorization(max_tokens=20, output_sequence_length=4)
    layer.adapt(texts)
    model = lamella.Sequential(
        [layer, layers.Embedding(20, 4), layers.GlobalAveragePooling1D(), layers.Dense(1, activation="sigmoid")]
    )
    wanted = model(np.array(texts, dtype=object)).detach()
    model.save(tmp_path / "texts.keras")
    again = lamella.models.load_model(tmp_path / "texts.keras")
    with serve(create_app(again, class_names=["bad", "good"])) as client:
        schema = client("GET", "/schema")[1]
        assert schema["inputs"][0]["kind"] == "text" and schema["outputs"][0]["scores"] == "sigmoid"
        status, answer = client.predict(texts)
        assert status == 200, answer
        close(answer["outputs"], wanted)
        assert answer["classes"] == [["bad", "good"][int(row > 0.5)] for row in wanted[:, 0]]
        for inputs in ([3], "a text", [["nested"]], [None], []):
            assert client.predict(inputs)[0] == 422
