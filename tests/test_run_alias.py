"""`lamella run`: `keras` and `tensorflow` are Lamella, whatever is installed."""

import json
import subprocess
import sys
import textwrap

import fresh
import pytest

# Each is executed alone, in one process; it must leave `found`, which must be true.
TRUE = {
    "import keras": "import keras; found = keras is lamella",
    "as k": "import keras as k; found = k.layers is lamella.layers",
    "submodule": "import keras.layers; found = keras.layers.Dense is lamella.layers.Dense",
    "from keras": "from keras import layers, models; found = layers is lamella.layers and models is lamella.models",
    "deep": "from keras.optimizers.schedules import ExponentialDecay as E; "
    "found = E is lamella.optimizers.schedules.ExponentialDecay",
    "dataset": "import keras.datasets.mnist as m; found = m is lamella.datasets.mnist",
    "utils": "from keras.utils import to_categorical as t; found = t is lamella.utils.to_categorical",
    "tf": "import tensorflow as tf; found = tf.keras is lamella",
    "from tf": "from tensorflow import keras; found = keras is lamella",
    "from tf.keras": "from tensorflow.keras import layers; found = layers is lamella.layers",
    "tf.keras as keras": "import tensorflow.keras as keras; found = keras is lamella",
    "tf.keras deep": "from tensorflow.keras.datasets import mnist; found = mnist is lamella.datasets.mnist",
    "tf.keras import star": "from tensorflow.keras.layers import *; found = Dense is lamella.layers.Dense",
    "tf attribute": "import tensorflow as tf; found = tf.keras.layers.Dense is lamella.layers.Dense",
    "backend": "from tensorflow.keras import backend as K; found = K is lamella.backend",
    "the module keeps its name": "import keras.layers as m; found = m.__name__ == m.__spec__.name == 'lamella.layers'",
    "find_spec": "import importlib.util as u; found = u.find_spec('keras.layers') is not None",
    "the name at the top": "import keras, tensorflow as tf; "
    "found = keras.__name__ == 'keras' and tf.__name__ == 'tensorflow'",
    "the version of Keras": "import keras; "
    "found = keras.__version__.startswith('3.') and keras.version() == keras.__version__",
    "versions as packages read them": "import keras, tensorflow as tf; from packaging.version import parse; "
    "found = parse(keras.__version__) >= parse('3.15.1') and parse(tf.__version__) >= parse('2.16')",
    "everything at the top": "from keras import *; found = Sequential is lamella.Sequential",
    "keras.src": "from keras.src import layers; found = layers.Dense is lamella.layers.Dense",
    "a file of keras.src": "from keras.src.layers.core.dense import Dense; found = Dense is lamella.layers.Dense",
    "a room of keras.src": "from keras.src.ops import *; found = einsum is lamella.ops.einsum",
    "the top, by keras.src": "from keras.src.backend import KerasTensor as T; found = T is lamella.KerasTensor",
    "a base class of keras.src": "from keras.src.layers.convolutional.base_conv import BaseConv; "
    "found = isinstance(lamella.layers.Conv1D(2, 3), BaseConv) and not isinstance(lamella.layers.Dense(1), BaseConv)",
    "keras.src without an import": "import keras.src; "
    "found = keras.src.saving.saving_lib.load_model is lamella.saving.load_model",
    "keras.src leaves the rooms as they are": "import keras.src.random.random, keras.src.losses.loss; "
    "found = not hasattr(lamella.random, 'random') and lamella.losses.__name__ == 'lamella.losses'",
    "compat.v1": "from tensorflow.compat.v1 import image; import tensorflow as tf; "
    "found = image is tf.image and tf.compat.as_text(b'a') == 'a' and tf.compat.v2.Variable is tf.Variable",
    "no value for the ones of one_hot": "import tensorflow as tf; "
    "found = tf.one_hot([1], 2, on_value=None, off_value=None, axis=None).tolist() == [[0, 1]]",
    "installed once": "import sys; from lamella import keras_alias as a; a.install(); "
    "found = sum(isinstance(f, a._Finder) for f in sys.meta_path) == 1",
    "a version that compares": "import tensorflow as tf; "
    "found = tuple(map(int, tf.__version__.split('.')[:2])) >= (2, 16)",
    "seed": "import tensorflow as tf; tf.random.set_seed(1); a = torch.rand(2); tf.random.set_seed(1); "
    "found = torch.equal(a, torch.rand(2))",
    "constant": "import tensorflow as tf; found = tf.constant([1, 2]).dtype is tf.int32",
    "an array keeps its type": "import tensorflow as tf; found = tf.convert_to_tensor(np.ones(2)).dtype is tf.float64",
    "cast": "import tensorflow as tf; found = tf.cast([1.7], 'int32').tolist() == [1]",
    "argmax": "import tensorflow as tf; found = tf.argmax([[1, 5], [7, 2]]).tolist() == [1, 0]",
    "argmax, last axis": "import tensorflow as tf; found = tf.argmax([[1, 5], [7, 2]], axis=-1).tolist() == [1, 0]",
    "mean of whole numbers": "import tensorflow as tf; found = tf.reduce_mean([1, 2]).item() == 1",
    "mean": "import tensorflow as tf; found = tf.reduce_mean([[1., 2.], [3., 6.]], axis=0).tolist() == [2, 4]",
    "sum": "import tensorflow as tf; found = tf.reduce_sum([[1, 2]], axis=1, keepdims=True).tolist() == [[3]]",
    "softmax": "import tensorflow as tf; found = abs(tf.nn.softmax(tf.constant([[1., 2.]])).sum().item() - 1) < 1e-6",
    "devices": "import tensorflow as tf; "
    "found = len(tf.config.list_physical_devices('GPU')) == torch.cuda.device_count()",
    "a room of tf": "from tensorflow.data import Dataset; import tensorflow as tf; found = Dataset is tf.data.Dataset",
    "an operator beside an array": "x = torch.ones(2, requires_grad=True); y = np.ones(2) - x * np.ones(2); "
    "found = y.dtype is torch.float32 and y.requires_grad",
    "a function of NumPy's": "x = torch.ones(2, 2, requires_grad=True); found = np.sum(x, axis=0).tolist() == [2, 2]",
    "into an array": "a = np.zeros(2); a += torch.ones(2); a[0] = torch.tensor(5.0); found = a.tolist() == [5, 1]",
    "a number": "import warnings; warnings.simplefilter('error'); "
    "found = float(torch.ones((), requires_grad=True)) == 1",
    "a result is read as an array": "x = torch.ones(2, requires_grad=True); found = x.numpy().sum() == 2",
    "a shape as a list": "x = torch.ones(2, 3); found = x.shape == [2, 3] and x.get_shape().as_list() == [2, 3]",
    "a shape is still torch's": "x = torch.ones(2, 3); found = torch.zeros(x.shape).shape == x.size() == (2, 3)",
    "parts of a shape": "x = torch.ones(2, 3); found = x.shape[:-1] + [4] == (2, 4) and x.shape[-1] * 2 == 6",
    "rank": "x = torch.ones(2, 3); found = (x.shape.rank, x.shape.ndims, x.shape.num_elements()) == (2, 2, 6)",
    "a shape of a graph": "x = lamella.Input((3, 4)); h = lamella.layers.Flatten()(x); "
    "found = h.get_shape().as_list() == [None, 12] and x.shape[1:].as_list() == [3, 4]",
    "a shape within a layer": "from lamella import layers; x = lamella.Input((3, 4)); "
    "h = layers.Lambda(lambda x: torch.reshape(x, [-1, x.shape.as_list()[1] * x.get_shape()[2]]))(x); "
    "found = h.shape == [None, 12]",
    "whole beside an array": "x = torch.ones(2, dtype=torch.int32); found = (x + np.ones(2, int)).dtype is x.dtype",
    "np.array copies": "x = torch.zeros(2); np.array(x)[0] = 5; found = x.tolist() == [0, 0]",
    "keras.src has the names of the rooms": "from keras.src.layers.core.dense import Dense; import keras; "
    "found = Dense is keras.layers.Dense",
    "keras.src leaves the rooms alone": "import keras.src.layers.attention.attention as a; import keras; "
    "import lamella.layers.attention; found = keras.layers.attention is lamella.layers.attention is not a",
    "private names of keras.src": "from keras.src.backend import get_keras_mask, set_keras_mask; "
    "x = torch.ones(2); set_keras_mask(x, x > 0); found = get_keras_mask(x) is x._keras_mask",
    "keras.src by attributes": "import keras; found = keras.src.losses.losses.LossFunctionWrapper is not None",
    "the version that packages look for": "import keras; found = keras.__version__.startswith('3.15') and "
    "keras.version() == keras.__version__",
    "tf.io.gfile": "import tempfile, tensorflow as tf; d = tempfile.mkdtemp(); p = tf.io.gfile.join(d, 'a', 'b'); "
    "tf.io.gfile.makedirs(p); tf.io.gfile.GFile(p + '/c.txt', 'w').close(); "
    "found = tf.io.gfile.listdir(p) == ['c.txt'] and tf.io.gfile.glob(p + '/*.txt') == [p + '/c.txt']",
    "np.asarray takes a type": "found = np.asarray(torch.ones(2, requires_grad=True), 'float64').dtype == np.float64",
}

# Each must raise the error, with that text in its message, or in what `hint` adds to it.
RAISED = {
    "no such layer": ("from keras.layers import Dens", "ImportError", "no keras.layers.Dens. Nearest: Dense"),
    "no such attribute": ("import keras; keras.layers.Dens", "AttributeError", "no keras.layers.Dens. Nearest: Dense"),
    "through tf": ("import tensorflow as tf; tf.keras.optimizers.Adamm", "AttributeError", "Nearest: Adam"),
    "no such module": ("import keras.layrs", "ModuleNotFoundError", "no 'keras.layrs'. Nearest: layers"),
    "keras.src": ("from keras.src.layers.layer import Layr", "ImportError", "cannot import name 'Layr'"),
    "a function of keras.src": (
        "from keras.src.utils.file_utils import split_pat; split_pat('a')",
        "ImportError",
        "of it Lamella has what is public in keras.utils, and split_pat is not",
    ),
    "a room of Keras 2": ("import keras.src.engine", "ModuleNotFoundError", "no 'keras.src.engine'"),
    "a session": (
        "import tensorflow.compat.v1 as tf; tf.Session",
        "AttributeError",
        "tensorflow has no 'Session' here",
    ),
    "tf submodule": ("import tensorflow.lite", "ModuleNotFoundError", "a part of TensorFlow around it"),
    "tf attribute": ("import tensorflow as tf; tf.lite", "AttributeError", "tensorflow has no 'lite' here"),
    "room of tf": (
        "import tensorflow as tf; tf.io.read_fil",
        "AttributeError",
        "tensorflow.io has no 'read_fil' here. Nearest: read_file",
    ),
    "tf near": ("import tensorflow as tf; tf.kerass", "AttributeError", "Nearest: keras"),
    "from tf": ("from tensorflow import GradientTap", "ImportError", "Nearest: GradientTape"),
    "not ours": ("import json; json.dumpp", "AttributeError", "dumpp"),
    "an object": ("import keras; keras.layers.Dense(1).unitz", "AttributeError", "unitz"),
}

HARNESS = """
import json
import numpy as np, torch, lamella
from lamella.keras_alias import hint
true, raised = json.load(open({cases!r}))
results = {{}}
for name, code in true.items():
    scope = {{"lamella": lamella, "np": np, "torch": torch}}
    try:
        exec(code, scope)
        results[name] = bool(scope["found"])
    except Exception as error:
        results[name] = repr(error)
for name, (code, _, _) in raised.items():
    try:
        exec(code, {{}})
        results["raised " + name] = ["nothing", ""]
    except Exception as error:
        results["raised " + name] = [type(error).__name__, f"{{error}} {{hint(error)}}"]
print(json.dumps(results))
"""


def run(*arguments, code=None, folder=None):
    """`lamella run` on a file, or on these lines written to one."""
    if code is not None:
        script = folder / "script.py"
        script.write_text(textwrap.dedent(code))
        arguments = (str(script), *arguments)
    return fresh.run(["-m", "lamella", "run", *arguments])


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    folder = tmp_path_factory.mktemp("alias")
    cases = folder / "cases.json"
    cases.write_text(json.dumps([TRUE, RAISED]))
    done = run(code=HARNESS.format(cases=str(cases)), folder=folder)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("case", TRUE)
def test_answered_by_lamella(case, results):
    assert results[case] is True


@pytest.mark.parametrize("case", RAISED)
def test_what_is_missing_is_named(case, results):
    _, error, message = RAISED[case]
    kind, text = results[f"raised {case}"]
    assert kind == error
    assert message in text


def test_the_script_sees_its_own_world(tmp_path):
    (tmp_path / "helper.py").write_text("VALUE = 3\n")
    code = """
        import sys, os, helper, keras, lamella
        assert keras is lamella and helper.VALUE == 3 and __name__ == "__main__"
        assert os.path.samefile(sys.path[0], os.path.dirname(__file__))
        print(sys.argv[1:])
        sys.exit(7)
        """
    done = run("--epochs", "3", "-h", code=code, folder=tmp_path)
    assert done.stdout == "['--epochs', '3', '-h']\n"
    assert done.returncode == 7


def test_an_error_keeps_its_traceback_and_gets_a_hint(tmp_path):
    done = run(code="from tensorflow.keras.layers import Densee\n", folder=tmp_path)
    assert done.returncode == 1
    assert "script.py" in done.stderr
    assert "Lamella has no keras.layers.Densee. Nearest: Dense" in done.stderr.strip().splitlines()[-1]


def test_a_script_that_is_not_there(tmp_path, capsys):
    from lamella.cli import main

    assert main(["run", str(tmp_path / "none.py")]) == 2
    assert "there is no file" in capsys.readouterr().err


def test_tensorboard_writes_without_tensorflow(tmp_path):
    pytest.importorskip("tensorboard")
    code = f"""
        import numpy as np, keras
        model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
        model.compile("sgd", "mse")
        board = keras.callbacks.TensorBoard({str(tmp_path / "board")!r})
        model.fit(np.ones((8, 2)), np.ones((8, 1)), verbose=0, callbacks=[board])
        """
    done = run(code=code, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert list((tmp_path / "board" / "train").glob("events*"))


def test_a_keras_script_trains(tmp_path):
    code = """
        import numpy as np
        import tensorflow as tf
        from tensorflow import keras
        from tensorflow.keras import layers

        tf.random.set_seed(0)
        x = np.random.default_rng(0).normal(size=(64, 2)).astype("float32")
        y = (x.sum(1) > 0).astype("int32")
        model = keras.Sequential([layers.Dense(10, input_shape=(2,), activation="relu"), layers.Dense(2)])
        model.compile(optimizer=keras.optimizers.SGD(0.5), metrics=["accuracy"],
                      loss=tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True))
        history = model.fit(x, y, epochs=5, verbose=0)
        assert type(model).__module__.startswith("lamella")
        assert history.history["loss"][-1] < history.history["loss"][0]
        print(tf.nn.softmax(model(x[:1])).numpy().shape)
        """
    (tmp_path / "script.py").write_text(textwrap.dedent(code))
    command = [sys.executable, "-m", "lamella", "run", str(tmp_path / "script.py")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "(1, 2)"
