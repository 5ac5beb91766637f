"""Requests that are wrong in every way we could think of: each gets a 4xx that says why, and the server goes on."""

import base64
import io
import json
import socket

import numpy as np
import pytest

import lamella
from lamella import layers

KINDS = 20


def good(rng):
    return {"inputs": rng.normal(size=(2, 3, 4, 1)).round(3).tolist()}


def png():
    file = io.BytesIO()
    pytest.importorskip("PIL.Image").fromarray(np.zeros((3, 4), "uint8")).save(file, "PNG")
    return file.getvalue()


def request(body, kind=b"application/json", method=b"POST", path=b"/predict", more=b""):
    length = b"Content-Length: %d\r\n" % len(body)
    header = b"Content-Type: %s\r\n" % kind if kind is not None else b""
    return (
        method
        + b" "
        + path
        + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
        + header
        + length
        + more
        + b"\r\n"
        + body
    )


def damaged(rng, tree):
    """The tree with one of its parts replaced by a thing of another type or size."""
    parts = [tree["inputs"]]
    for _ in range(rng.integers(0, 4)):
        parts.append(parts[-1][rng.integers(len(parts[-1]))])
    place = rng.integers(len(parts[-1]))
    old = parts[-1][place]
    odd = [
        None,
        True,
        "1",
        "",
        {},
        {"a": 1},
        [],
        [[]],
        [old, old],
        float("nan"),
        float("inf"),
        -float("inf"),
        1e300,
        10**400,
    ]
    odd += [old[:-1], old + old[:1]] if isinstance(old, list) else [[old]]
    parts[-1][place] = odd[rng.integers(len(odd))]
    return json.dumps(tree).encode()


def malformed(rng, number):
    """One request as bytes; `number` says which kind of mistake."""
    body = json.dumps(good(rng)).encode()
    some = rng.integers(0, 256, rng.integers(1, 200), dtype="uint8").tobytes()
    part = b'--b\r\nContent-Disposition: form-data; name="picture"; filename="a"\r\n\r\n'
    form = b"multipart/form-data; boundary=b"
    kind = number % KINDS
    if kind < 4:
        return request(damaged(rng, good(rng)))
    if kind == 4:  # cut
        return request(body[: rng.integers(0, len(body) - 1)])
    if kind == 5:  # random bytes
        return request(some)
    if kind == 6:  # no UTF-8 within a string
        return request(b'{"inputs": ["\xff\xfe' + some.replace(b'"', b"") + b'"]}')
    if kind == 7:  # deep
        depth = int(rng.integers(5, 20_000))
        return request(b'{"inputs": ' + b"[" * depth + b"1" + b"]" * depth + b"}")
    if kind == 8:  # numbers that are none, or very long
        numbers = [
            b"1e400",
            b"-1e400",
            b"9" * 5000,
            b"0x10",
            b"1.",
            b".5",
            b"+1",
            b"NaN",
            b"-Infinity",
            b"1e5000000000",
            b"01",
        ]
        return request(body.replace(b"[[[[", b"[[[[" + numbers[rng.integers(len(numbers))] + b",", 1))
    if kind == 9:
        types = [
            b"text/plain",
            b"",
            b"application/xml",
            b"\xff",
            b"image/tiff",
            b"application/x-www-form-urlencoded",
            None,
        ]
        return request(body, types[rng.integers(len(types))])
    if kind == 10:
        methods = [b"GET", b"PUT", b"DELETE", b"PATCH", b"HEAD", b"OPTIONS"]
        return request(b"", None, methods[rng.integers(len(methods))])
    if kind == 11:
        paths = [
            b"/predict/",
            b"/",
            b"/schema",
            b"/health",
            b"/../etc/passwd",
            b"/predict%00",
            b"/nothing?x=" + b"y" * 500,
        ]
        return request(body, path=paths[rng.integers(len(paths))])
    if kind == 12:  # a form that is cut
        whole = part + png() + b"\r\n--b--"
        return request(whole[: rng.integers(0, len(whole) - 1)], form)
    if kind == 13:  # forms of other kinds
        forms = [
            request(part + some + b"\r\n--b--\r\n", form),
            request(part + png() + b"\r\n--b--\r\n", b"multipart/form-data"),
            request(part.replace(b'name="picture"; ', b"") + png() + b"\r\n--b--\r\n", form),
            request(b"--b--\r\n", form),
            request(b'--b\r\nContent-Disposition: form-data; name="other"\r\n\r\n1\r\n--b--\r\n', form),
            request(b'--b\r\nContent-Disposition: form-data; name="picture"\r\n\r\n' + some + b"\r\n--b--\r\n", form),
            request(some, form),
        ]
        return forms[rng.integers(len(forms))]
    if kind == 14:  # files that are no pictures
        return request(some if rng.random() < 0.5 else png()[: rng.integers(0, 45)], b"image/png")
    if kind == 15:  # base64 that is none, or of no picture
        texts = [
            "?",
            "",
            "data:image/png;base64,",
            base64.b64encode(some).decode(),
            base64.b64encode(png()[:40]).decode(),
            "é",
        ]
        return request(json.dumps({"inputs": [texts[rng.integers(len(texts))]]}).encode())
    if kind == 16:  # other objects
        trees = [
            [],
            {},
            3,
            "x",
            None,
            {"input": 1},
            {"inputs": {}},
            {**good(rng), "more": 1},
            {"inputs": None},
            [good(rng)],
        ]
        return request(json.dumps(trees[rng.integers(len(trees))]).encode())
    if kind == 17:  # too many samples
        return request(json.dumps({"inputs": np.zeros((int(rng.integers(9, 40)), 3, 4, 1)).tolist()}).encode())
    if kind == 18:
        more = [b"Content-Encoding: gzip\r\n", b"Content-Encoding: br\r\n"]
        return request(body, more=more[rng.integers(2)])
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(some), some) for _ in range(3))  # and no HTTP
    broken = [
        b"POST /predict HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n",
        b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
        b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: many\r\n\r\n",
        b"NONSENSE\r\n\r\n",
        b"POST /predict HTTP/9.9\r\nHost: x\r\nConnection: close\r\n\r\n",
        b"POST /predict HTTP/1.1\r\nHost: x\r\nno colon here\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + some,  # TLS
    ]
    return broken[rng.integers(len(broken))]


def answer_to(port, sent):
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(sent)
        answer = b""
        while part := connection.recv(65536):
            answer += part
    return answer


@pytest.fixture(scope="module")
def client(serve):
    from lamella.serving import create_app

    inputs = lamella.Input((3, 4, 1), name="picture")
    model = lamella.Model(inputs, layers.Dense(2)(layers.Flatten()(inputs)))
    with serve(create_app(model, max_samples=8)) as client:
        yield client


@pytest.mark.parametrize("part", range(5))
def test_each_malformed_request_gets_a_4xx(client, part):
    rng = np.random.default_rng(part)
    structured = 0
    for number in range(100 * part, 100 * part + 100):
        sent = malformed(rng, number)
        head, _, body = answer_to(client.port, sent).partition(b"\r\n\r\n")
        status = int(head.split()[1])
        assert 400 <= status < 500, (sent[:300], head, body)
        if b"application/json" in head and body:
            error = json.loads(body)["error"]
            assert set(error) == {"kind", "message", "where"} and 20 < len(error["message"]) < 1000, (sent[:300], body)
            structured += 1
    assert structured >= 85  # all but what is no HTTP and what a HEAD asked for
    status, answer = client.predict(good(rng)["inputs"])
    assert status == 200 and len(answer["outputs"]) == 2


def test_the_server_is_as_before(client):
    assert client("GET", "/health")[0] == 200
    text = client("GET", "/metrics")[1].decode()
    assert 'status="5' not in text and "lamella_queue_samples 0.0" in text
