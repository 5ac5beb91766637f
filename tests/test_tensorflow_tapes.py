"""Gradients of tapes, against TensorFlow 2.21's (`tensorflow_tapes.json`): what was before a tape is a constant."""

import json
import math
from pathlib import Path

import fresh
import pytest
import torch

import lamella.tensorflow_stand_in as tf

EXPECTED = json.loads((Path(__file__).parent / "tensorflow_tapes.json").read_text(encoding="utf-8"))

HARNESS = """
import json, sys
import lamella.keras_alias
lamella.keras_alias.install()
import numpy as np, tensorflow as tf

def plain(value):
    if isinstance(value, (list, tuple)):
        return [plain(each) for each in value]
    return None if value is None else np.asarray(value).tolist()

found = {}
for name, script in json.load(sys.stdin).items():
    room = {"np": np, "tf": tf}
    try:
        exec("\\n".join(script), room)
        found[name] = plain(room["found"])
    except Exception as error:
        found[name] = repr(error)
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def found():
    given = json.dumps({name: each["script"] for name, each in EXPECTED.items()})
    return json.loads(fresh.check(["-c", HARNESS], input=given))


def same(a, b):
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, float) and isinstance(b, (int, float)):
        return math.isclose(a, b, rel_tol=1e-4, abs_tol=1e-5)
    return a == b


@pytest.mark.parametrize("name", EXPECTED)
def test_gives_the_gradients_that_tensorflow_gives(name, found):
    assert same(EXPECTED[name]["gives"], found[name]), found[name]


class _Scaled(torch.autograd.Function):
    """a times b times the number n, and a."""

    @staticmethod
    def forward(ctx, a, n, b, constant):
        ctx.save_for_backward(a, b)
        ctx.n = n
        return a * b * n, a.clone()

    @staticmethod
    def backward(ctx, gradient, of_a):
        a, b = ctx.saved_tensors
        return gradient * b * ctx.n + of_a, None, gradient * a * ctx.n, None


def test_functions_with_a_backward_of_their_own():
    w = tf.Variable([2.0, 3.0])
    before = w * w
    with tf.GradientTape() as tape:
        y, _ = _Scaled.apply(w, 5, w + before, torch.ones(1))
        loss = y.sum()
    assert tape.gradient(loss, w).tolist() == [5 * (2 * 2 + 4), 5 * (2 * 3 + 9)]


def test_types_of_a_mixed_computation():
    w = tf.Variable([1.0, 2.0])
    before = w * 1
    with tf.GradientTape() as tape:
        loss = (w.double() * before.double()).sum()
    gradient = tape.gradient(loss, w)
    assert gradient.dtype is torch.float32 and gradient.tolist() == [1, 2]


def test_a_state_does_not_keep_what_was_used_up():
    w, state = tf.Variable(torch.eye(2) * 0.5), torch.ones(1, 2)
    for _ in range(3):
        with tf.GradientTape() as tape:
            state = torch.tanh(state @ w)
            loss = state.sum()
        assert tape.gradient(loss, w) is not None
        with pytest.raises(RuntimeError, match="already been freed"):
            state.grad_fn._saved_result  # noqa: B018
