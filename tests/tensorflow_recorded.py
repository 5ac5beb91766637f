"""Expressions of `tf` and what TensorFlow gave for them: read from a file, and evaluated by the stand-in."""

import json
import math
from pathlib import Path

import fresh

HARNESS = """
import json, sys
if "tensorflow" not in sys.argv:
    import lamella.keras_alias
    lamella.keras_alias.install()
import numpy as np, tensorflow as tf
Data, Experimental, Ragged = tf.data.Dataset, tf.data.experimental, tf.RaggedTensor
{names}

def plain(value):
    if hasattr(value, "to_list"):
        return {"ragged": plain(value.to_list())}
    if hasattr(value, "dense_shape"):
        return {"sparse": [plain(each) for each in (value.indices, value.values, value.dense_shape)]}
    if "Spec" in type(value).__name__:
        return repr(value).replace("tf.", "").replace("torch.", "")
    if isinstance(value, dict):
        return {key: plain(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)) and not hasattr(value, "numpy"):
        return [plain(each) for each in value]
    if hasattr(value, "numpy"):
        value = value.numpy()
    if isinstance(value, (np.ndarray, np.generic)):
        value = [str(value.dtype), plain(value.tolist())]
    return value.decode("latin-1") if isinstance(value, bytes) else value

found = {}
for expression in json.load(sys.stdin):
    try:
        found[expression] = plain(eval(expression))
    except Exception as error:
        found[expression] = "refused" if "tensorflow" in sys.argv else f"refused: {error!r}"
print(json.dumps(found))
"""


def expected(name: str) -> dict:
    return json.loads((Path(__file__).parent / name).read_text(encoding="utf-8"))


def evaluated(expressions: list, names: str) -> dict:
    """What the stand-in gives for each expression, in a process of its own; `names` are assigned before."""
    code = HARNESS.replace("{names}", names)
    return json.loads(fresh.check(["-c", code], input=json.dumps(expressions)))


def same(a, b):
    if a == "refused":
        return isinstance(b, str) and b.startswith("refused")
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, float) and isinstance(b, (int, float)):
        return math.isclose(a, b, rel_tol=2e-6, abs_tol=2e-6) or (math.isnan(a) and math.isnan(b))
    return a == b
