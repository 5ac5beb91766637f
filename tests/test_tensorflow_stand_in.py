"""What stands in for TensorFlow, against what TensorFlow 2.21 gives (`tensorflow_values.json`), and what it has not."""

import io
import json
import math
import wave
from pathlib import Path

import fresh
import numpy as np
import pytest
import torch

import lamella
import lamella.tensorflow_stand_in as tf
from lamella import layers
from lamella.errors import ArgumentError, DataError, ShapeError

EXPECTED = json.loads((Path(__file__).parent / "tensorflow_values.json").read_text(encoding="utf-8"))

HARNESS = """
import json, sys
import lamella.keras_alias
lamella.keras_alias.install()
import numpy as np, tensorflow as tf
from tensorflow.keras import backend as K

def plain(value):
    if isinstance(value, (list, tuple)) and not hasattr(value, "numpy"):
        return [plain(each) for each in value]
    if isinstance(value, dict):
        return {key: plain(each) for key, each in value.items()}
    if hasattr(value, "numpy"):
        value = value.numpy()
    return [str(value.dtype), value.tolist()] if isinstance(value, (np.ndarray, np.generic)) else value

found = {}
for expression in json.load(sys.stdin):
    try:
        found[expression] = plain(eval(expression))
    except Exception as error:
        found[expression] = repr(error)
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def found():
    given = json.dumps(list(EXPECTED))
    return json.loads(fresh.check(["-c", HARNESS], input=given))


def same(a, b):
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, float) and isinstance(b, (int, float)):
        return math.isclose(a, b, rel_tol=2e-6, abs_tol=2e-6)
    return a == b


@pytest.mark.parametrize("expression", EXPECTED)
def test_gives_what_tensorflow_gives(expression, found):
    assert same(EXPECTED[expression], found[expression]), found[expression]


# Gradients


def test_gradients_of_several_sources_in_their_nesting():
    a, b, c = tf.Variable(2.0), tf.Variable(3.0), tf.Variable(4.0)
    with tf.GradientTape() as tape:
        y = a * a * b
    found = tape.gradient(y, {"a": a, "rest": [b, c]})
    assert found["a"].item() == 12 and found["rest"][0].item() == 4 and found["rest"][1] is None
    with pytest.raises(RuntimeError, match="non-persistent"):
        tape.gradient(y, a)


def test_unconnected_sources_as_zeros_and_weights_of_targets():
    a, b = tf.Variable([1.0, 2.0]), tf.Variable(3.0)
    with tf.GradientTape(persistent=True) as tape:
        y = a * a
    assert tape.gradient(y, a).tolist() == [2, 4]
    assert tape.gradient(y, a, output_gradients=[1.0, 10.0]).tolist() == [2, 40]
    assert tape.gradient(y, b, unconnected_gradients="zero").item() == 0
    assert tape.gradient([y, y], a).tolist() == [4, 8]
    assert tape.jacobian(y, a).tolist() == [[2, 0], [0, 4]]


def test_constants_are_watched_and_variables_need_not_be():
    x, w = torch.tensor([1.0, 2.0]), tf.Variable(2.0)
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(x)
        y = w * x
    assert [each if each is None else each.tolist() for each in tape.gradient(y, [x, w])] == [[2, 2], None]


def test_tapes_within_tapes():
    x = tf.Variable(3.0)
    with tf.GradientTape() as outer:
        with tf.GradientTape() as inner:
            y = x**3
        first = inner.gradient(y, x)
    assert (first.item(), outer.gradient(first, x).item()) == (27, 18)


def test_a_constant_is_one_again_after_the_tape():
    picture = torch.zeros(2, 2)
    for _ in range(3):  # gradient ascent, as in DeepDream
        with tf.GradientTape() as tape:
            tape.watch(picture)
            loss = tf.reduce_sum(tf.square(picture - 1))
        picture -= 0.25 * tape.gradient(loss, picture)
    assert not picture.requires_grad
    torch.testing.assert_close(picture, torch.full((2, 2), 0.875))


def test_what_is_not_recorded_has_no_gradient():
    x = tf.Variable(3.0)
    with tf.GradientTape() as tape:
        with tape.stop_recording():
            y = x * x
        z = x * y
    assert tape.gradient(z, x).item() == 9


def test_a_loop_of_ones_own_trains():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(256, 3)).astype("float32")
    y = x @ np.array([[1.0], [-2.0], [0.5]], "float32")
    data = tf.data.Dataset.from_tensor_slices((x, y)).shuffle(256, seed=1).batch(32)
    model = lamella.Sequential([lamella.Input((3,)), layers.Dense(1)])
    optimizer = lamella.optimizers.Adam(0.1)

    @tf.function
    def step(inputs, targets):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.square(model(inputs, training=True) - targets))
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
        return loss

    losses = [step(*batch).item() for _ in range(20) for batch in data]
    assert losses[-1] < 1e-3 < losses[0]


def test_a_train_step_of_ones_own_with_a_tape():
    class Own(lamella.Model):
        def train_step(self, data):
            x, y = data
            with tf.GradientTape() as tape:
                loss = self.compute_loss(y=y, y_pred=self(x, training=True))
            gradients = tape.gradient(loss, self.trainable_variables)
            self.optimizer.apply_gradients(zip(gradients, self.trainable_variables, strict=True))
            return {"loss": loss}

    inputs = lamella.Input((2,))
    model = Own(inputs, layers.Dense(1)(inputs))
    model.compile("sgd", "mse")
    losses = model.fit(np.ones((32, 2)), np.ones((32, 1)), epochs=5, verbose=0).history["loss"]
    assert losses[-1] < losses[0]


# Layers and models


def test_a_layer_that_draws_by_the_shape_of_its_inputs():
    class Sampling(layers.Layer):
        def call(self, inputs):
            mean, log_variance = inputs
            batch, size = tf.shape(mean)[0], tf.shape(mean)[1]
            return mean + tf.exp(0.5 * log_variance) * tf.random.normal(shape=(batch, size))

    inputs = lamella.Input((4,))
    outputs = Sampling()([layers.Dense(2)(inputs), layers.Dense(2)(inputs)])
    assert outputs.shape == (None, 2)
    assert lamella.Model(inputs, outputs)(torch.ones(3, 4)).shape == (3, 2)


def test_sizes_are_known_while_shapes_are_found():
    class CausalMask(layers.Layer):
        def call(self, inputs):
            batch, length = tf.shape(inputs)[0], tf.shape(inputs)[1]
            mask = tf.cast(tf.range(length)[:, tf.newaxis] >= tf.range(length), "int32")
            times = tf.concat([tf.expand_dims(batch, -1), tf.constant([1, 1], dtype=tf.int32)], axis=0)
            return tf.tile(tf.reshape(mask, (1, length, length)), times)

    inputs = lamella.Input((None, 4))
    outputs = CausalMask()(inputs)
    assert outputs.shape == (None, None, None)
    assert lamella.Model(inputs, outputs)(torch.ones(2, 3, 4)).tolist() == [[[1, 0, 0], [1, 1, 0], [1, 1, 1]]] * 2


def test_functions_of_a_functional_model():
    inputs = lamella.Input((4,))
    outputs = tf.concat([tf.nn.relu(inputs), tf.expand_dims(tf.reduce_sum(inputs, axis=1), 1)], axis=1)
    assert outputs.shape == (None, 5)
    assert lamella.Model(inputs, outputs)(torch.tensor([[-1.0, 2, 3, 4]])).tolist() == [[0, 2, 3, 4, 8]]


def test_a_constant_initializer_takes_numbers_of_any_shape():
    given = np.arange(9, dtype="float32").reshape(1, 3, 3)
    layer = layers.Conv2D(
        1, 3, kernel_initializer=tf.constant_initializer(given), bias_initializer=tf.constant_initializer(2)
    )
    assert layer(tf.ones((1, 3, 3, 1))).item() == given.sum() + 2


def test_variables_of_a_layer_are_its_weights():
    class Linear(layers.Layer):
        def __init__(self):
            super().__init__()
            self.w = tf.Variable(tf.random.normal([3, 2]), name="w")
            self.steps = tf.Variable(0, trainable=False)

        def call(self, inputs):
            return tf.matmul(inputs, self.w)

    layer = Linear()
    assert layer(torch.ones(1, 3)).shape == (1, 2)
    assert [tuple(weight.shape) for weight in layer.trainable_variables] == [(3, 2)]


# Random numbers


def test_random_numbers_have_their_range_type_and_seed():
    assert tf.random.uniform((100,), 2, 5, dtype=tf.int32).unique().tolist() == [2, 3, 4]
    drawn = tf.random.uniform((1000,), -1.0, 1.0)
    assert drawn.dtype is tf.float32 and -1 <= drawn.min() < -0.9 and 0.9 < drawn.max() <= 1
    assert abs(tf.random.normal((10000,), 5.0, 0.1).mean() - 5) < 0.01
    assert tf.random.truncated_normal((1000,)).abs().max() <= 2
    assert sorted(tf.random.shuffle(tf.range(5)).tolist()) == [0, 1, 2, 3, 4]
    assert tf.random.categorical([[0.0, 100.0]], 3).tolist() == [[1, 1, 1]]
    tf.random.set_seed(3)
    first = tf.random.normal((3,))
    tf.random.set_seed(3)
    assert torch.equal(first, tf.random.normal((3,)))
    assert not torch.equal(tf.random.normal((3,), seed=8), tf.random.normal((3,), seed=8))


def test_dropout_keeps_the_mean():
    dropped = tf.nn.dropout(tf.ones((100, 100)), 0.25, seed=1)
    assert sorted(dropped.unique().tolist()) == pytest.approx([0, 4 / 3])
    assert abs(dropped.mean() - 1) < 0.05


# Pictures, files, texts


@pytest.mark.parametrize("change", ["random_flip_left_right", "random_flip_up_down"])
def test_random_flips_turn_about_half_of_a_batch(change):
    pictures = tf.reshape(tf.range(4.0), (1, 2, 2, 1)).expand(400, 2, 2, 1)
    turned = (getattr(tf.image, change)(pictures) != pictures).flatten(1).any(1).float().mean()
    assert 0.35 < turned < 0.65


def test_random_changes_stay_in_their_bounds():
    picture = torch.full((4, 4, 3), 0.5)
    picture[0] = 0.7
    assert (tf.image.random_brightness(picture, 0.1) - picture).abs().max() <= 0.1 + 1e-6
    assert tf.image.random_contrast(picture, 0.5, 0.6).std() < 0.61 * picture.std()
    for change in (tf.image.random_saturation(picture, 0.5, 1.5), tf.image.random_hue(picture, 0.2)):
        torch.testing.assert_close(change, picture)  # grey has neither
    assert tf.image.random_crop(picture, (2, 3, 3)).shape == (2, 3, 3)
    with pytest.raises(ShapeError, match="larger than the picture"):
        tf.image.random_crop(picture, (5, 3, 3))


@pytest.mark.parametrize(
    ("function", "arguments"), [("crop_to_bounding_box", (1, 0, 2, 2)), ("pad_to_bounding_box", (1, 1, 2, 2))]
)
def test_boxes_outside_of_a_picture_are_refused(function, arguments):
    with pytest.raises(ShapeError, match=function):
        getattr(tf.image, function)(torch.zeros(2, 2, 1), *arguments)


@pytest.mark.parametrize(("channels", "shape"), [(0, (3, 2, 3)), (1, (3, 2, 1)), (3, (3, 2, 3)), (4, (3, 2, 4))])
def test_pictures_in_files(tmp_path, channels, shape):
    image = pytest.importorskip("PIL.Image")
    pixels = np.arange(18, dtype="uint8").reshape(3, 2, 3)
    image.fromarray(pixels).save(tmp_path / "a.png")
    read = tf.io.decode_png(tf.io.read_file(str(tmp_path / "a.png")), channels=channels)
    assert read.shape == shape and read.dtype is tf.uint8
    if channels == 3:
        assert read.tolist() == pixels.tolist()
        as_floats = tf.io.decode_image(tf.io.read_file(tmp_path / "a.png"), dtype=tf.float32)
        torch.testing.assert_close(as_floats, torch.from_numpy(pixels) / 255)


def test_what_is_no_picture_is_refused(tmp_path):
    pytest.importorskip("PIL")
    tf.io.write_file(str(tmp_path / "new" / "a.jpg"), "hello")
    with pytest.raises(DataError, match="no picture"):
        tf.io.decode_jpeg(tf.io.read_file(str(tmp_path / "new" / "a.jpg")))
    with pytest.raises(ArgumentError, match="0, 1, 3 or 4; got 2"):
        tf.image.decode_png(b"", channels=2)


def test_fields_of_lines():
    defaults = [[0.0], tf.constant([], dtype=tf.float32), tf.constant([5], dtype=tf.int32), [""]]
    fields = tf.io.decode_csv(["1.5,2,,a", ",3,4,b"], record_defaults=defaults)
    assert [each if isinstance(each, list) else each.tolist() for each in fields] == [
        [1.5, 0],
        [2, 3],
        [5, 4],
        ["a", "b"],
    ]
    one = tf.io.decode_csv(b"1,2,3,x", defaults)
    assert (one[0].item(), one[2].dtype, one[3]) == (1.0, tf.int32, "x")
    for line, message in (
        ("1,2,3", r"4 defaults, but lines of \[3\] fields"),
        ("1,,3,x", "without a default is missing"),
    ):
        with pytest.raises(DataError, match=message):
            tf.io.decode_csv(line, defaults)


def test_texts():
    assert tf.strings.lower("ÄB") == "äb" and tf.strings.upper(b"ab") == b"AB"
    assert tf.strings.regex_replace(np.array(["a<br />b", "c"], object), "<br />", " ").tolist() == ["a b", "c"]
    assert tf.strings.regex_replace("aaa", "a", "b", replace_global=False) == "baa"
    assert tf.strings.regex_replace("ab", "(a)(b)", r"\2\1") == "ba"
    assert tf.strings.strip([" a ", "b "]).tolist() == ["a", "b"]
    assert tf.strings.split("a b  c").tolist() == ["a", "b", "c"]
    assert tf.strings.split(["a,b", "c"], ",").to_list() == [[b"a", b"b"], [b"c"]]
    assert tf.strings.join(["a", "b"], "-") == "a-b" and tf.strings.join([["a", "b"], "c"]).tolist() == ["ac", "bc"]
    assert tf.strings.substr("hello", 1, 3) == "ell"


def test_a_standardization_of_ones_own():
    def standardized(texts):
        return tf.strings.regex_replace(tf.strings.lower(texts), "[!?]", "")

    vectorize = layers.TextVectorization(standardize=standardized, output_sequence_length=3)
    vectorize.adapt(["Good film!", "good?"])
    assert vectorize.get_vocabulary() == ["", "[UNK]", "good", "film"]
    assert vectorize(["FILM!! GOOD"]).tolist() == [[3, 2, 0]]


# Data


def test_lines_and_paths_of_files(tmp_path):
    for name in "ab":
        (tmp_path / f"{name}.txt").write_text(f"{name}1\n{name}2\n", encoding="utf-8")
    pattern = str(tmp_path / "*.txt")
    paths = list(tf.data.Dataset.list_files(pattern, shuffle=False))
    assert [Path(path).name for path in paths] == ["a.txt", "b.txt"]
    assert sorted(tf.data.Dataset.list_files(pattern)) == paths
    assert list(tf.data.TextLineDataset(paths)) == ["a1", "a2", "b1", "b2"]
    with pytest.raises(ArgumentError, match="No file fits"):
        tf.data.Dataset.list_files(str(tmp_path / "*.csv"))


def test_every_stream_is_a_data_set():
    stream = tf.data.Dataset.range(3).map(lambda n: n).batch(2)
    assert isinstance(stream, tf.data.Dataset)
    assert not isinstance([1], tf.data.Dataset)
    assert [int(n) for n in tf.data.Dataset.concatenate(stream.unbatch(), stream.unbatch())] == [0, 1, 2, 0, 1, 2]
    with pytest.raises(ArgumentError, match="not the iterator itself"):
        tf.data.Dataset.from_generator(iter([1]))


def test_items_of_a_generator_have_the_types_that_are_said():
    def items():
        yield {"a": [1, 2]}, 3

    types = ({"a": tf.float32}, tf.int64)
    for arguments in (
        {"output_types": types},
        {"output_signature": ({"a": tf.TensorSpec((2,))}, tf.TensorSpec((), tf.int64))},
    ):
        ((a, b),) = tf.data.Dataset.from_generator(items, **arguments)
        assert (a["a"].dtype, b.dtype) == (tf.float32, tf.int64)


def test_a_model_learns_from_a_data_set():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 4)).astype("float32")
    y = (x.sum(1) > 0).astype("int32")
    data = tf.data.Dataset.from_tensor_slices((x, y))
    train = data.take(160).shuffle(160).batch(16).prefetch(tf.data.AUTOTUNE)
    model = lamella.Sequential([lamella.Input((4,)), layers.Dense(2)])
    model.compile(
        lamella.optimizers.Adam(0.05),
        lamella.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    model.fit(train, validation_data=data.skip(160).batch(16), epochs=10, verbose=0)
    assert model.evaluate(data.batch(50), verbose=0)[1] > 0.95


# Habits of TensorFlow's tensors

HABITS = {
    "who holds x keeps it": "x = tf.constant([1.0, 2.0]); y = x; y += 1; "
    "found = x.tolist() == [1, 2] and y.tolist() == [2, 3]",
    "x += y broadcasts x": "x = tf.ones((2, 1)); x += tf.ones((1, 3)); found = x.shape == (2, 3)",
    "a part of x is its own": "x = tf.constant([1.0, 2.0]); y = x[:1]; y *= 5; found = x.tolist() == [1, 2]",
    "gradients through x += y": "w = tf.Variable(3.0)\nwith tf.GradientTape() as tape:\n    y = w * w\n    z = y\n"
    "    z += 1.0\n    z *= y\nfound = tape.gradient(z, w).item() == 114",
    "by hand, under no_grad, in place": "w = torch.ones(2, requires_grad=True); v = w\n"
    "with torch.no_grad():\n    w -= 0.5\nfound = v is w and w.requires_grad and w.tolist() == [0.5, 0.5]",
    "a parameter in place": "w = v = torch.nn.Parameter(torch.ones(2))\n"
    "with torch.no_grad():\n    w += 1\nfound = v is w",
    "a call leaves its inputs": "class Up(tf.keras.layers.Layer):\n"
    "    def call(self, x):\n        x += 1.0\n        return x\n"
    "x = np.ones((4, 2), 'float32'); model = tf.keras.Sequential([Up()])\n"
    "found = model.predict(x, verbose=0).max() == 2 and model.predict(x, verbose=0).max() == 2 and x.max() == 1",
    "an array that is written to": "x = tf.constant([1.0, 2.0]); x.numpy()[0] = 9; found = x.tolist() == [1, 2]",
    "an array that was made a tensor": "a = np.ones(2); t = tf.constant(a), tf.convert_to_tensor(a); a[:] = 7; "
    "found = [each.tolist() for each in t] == [[1, 1]] * 2",
    "weights before and after": "w = tf.keras.layers.Dense(1, kernel_initializer='ones'); "
    "w.build((None, 2)); k = w.kernel; before = k.numpy(), np.array(k), np.asarray(k), k[0]; k.assign([[5.0], [6.0]]); "
    "found = [float(each.sum()) for each in before] == [2, 2, 2, 1]",
    "a history of a variable": "v = tf.Variable(0.0); seen = []\n"
    "for _ in range(3):\n    v.assign_add(1.0)\n    seen += [v.numpy(), v.read_value(), tf.convert_to_tensor(v)]\n"
    "found = [float(each) for each in seen] == [1, 1, 1, 2, 2, 2, 3, 3, 3]",
    "a slice of a layer's weight": "w = tf.keras.layers.Dense(1, kernel_initializer='ones'); w.build((None, 2)); "
    "w.kernel[1:].assign([[4.0]]); w.kernel[:].assign(w.kernel + 1); found = w.kernel.tolist() == [[2], [5]]",
    "a tensor's slice is not assigned": "found = not hasattr(tf.zeros(2)[0], 'assign')",
    "gradients through a slice": "v = tf.Variable([1.0, 2.0])\n"
    "with tf.GradientTape() as tape:\n    y = v[1] * 3\n"
    "found = tape.gradient(y, v).tolist() == [0, 3]",
    "a list with tensors": "w = tf.Variable(2.0)\n"
    "with tf.GradientTape() as tape:\n    y = tf.constant(1.0) + [w * w, w]\n"
    "found = tape.gradient(y, w).item() == 5",
    "a text is no number": "found = (tf.constant([1.0]) == ['a']) is False",
    "losses of a model beside a loss": "m = tf.keras.Sequential([tf.keras.layers.Dense(1, kernel_regularizer='l2')]); "
    "m(tf.ones((2, 3))); found = (tf.constant(1.0) + m.losses).shape == (1,)",
}


@pytest.fixture(scope="module")
def habits():
    code = (
        "import json, sys\nimport lamella.keras_alias\nlamella.keras_alias.install()\n"
        "import numpy as np, tensorflow as tf, torch\nanswers = {}\n"
        "for name, script in json.load(sys.stdin).items():\n"
        "    room = dict(np=np, tf=tf, torch=torch, __name__='__main__')\n"
        "    try:\n        exec(script, room)\n        answers[name] = bool(room['found'])\n"
        "    except Exception as error:\n        answers[name] = repr(error)\n"
        "print(json.dumps(answers))"
    )
    given = json.dumps(HABITS)
    return json.loads(fresh.check(["-c", code], input=given))


@pytest.mark.parametrize("name", HABITS)
def test_tensors_have_the_habits_of_tensorflows(name, habits):
    assert habits[name] is True, habits[name]


def test_a_variable_is_not_changed_by_an_operator():
    v = tf.Variable([1.0, 2.0])
    with pytest.raises(ArgumentError, match=r"write `v\.assign_add"):
        v += 1


def test_a_slice_is_assigned_in_the_shape_it_has():
    v = tf.Variable(tf.zeros((2, 2)))
    with pytest.raises(RuntimeError, match="expanded size"):
        v[:, :1].assign([7.0, 8.0])
    assert v[0].assign([1.0, 2.0]) is v and v.tolist() == [[1, 2], [0, 0]]


def test_a_missing_gpu_is_the_cpu_as_in_tensorflow():
    there = torch.cuda.device_count()
    with tf.device(f"/job:localhost/replica:0/task:0/device:GPU:{there}"):
        assert tf.zeros(2).device.type == "cpu"
        assert layers.Dense(1)(torch.ones(1, 2)).device.type == "cpu"


def test_a_model_is_made_and_trained_in_the_scope_of_a_strategy():
    strategy = tf.distribute.OneDeviceStrategy(tf.device("/CPU:0")._device_name)
    with strategy.scope():
        assert tf.distribute.get_strategy() is strategy
        model = lamella.Sequential([layers.BatchNormalization(), layers.Dense(1)])
        model.compile("sgd", "mse")
    assert tf.distribute.get_strategy() is not strategy
    model.fit(np.ones((8, 2), "float32"), np.ones(8, "float32"), verbose=0)
    with pytest.raises(ArgumentError, match="expected 'SUM' or 'MEAN'"):
        strategy.reduce("MAX", torch.ones(2))


def test_a_tensor_array_of_a_fixed_size():
    with pytest.raises(ArgumentError, match="the place must be below the size, 2; got 2"):
        tf.TensorArray(tf.float32, 2).write(2, 1.0)


def test_gradients_through_what_was_collected_and_scattered():
    w = tf.Variable(3.0)
    with tf.GradientTape(persistent=True) as tape:
        outputs = tf.TensorArray(tf.float32, 0, dynamic_size=True)
        for i in range(3):
            outputs = outputs.write(i, w * i)
        stacked = outputs.stack()
        put = tf.tensor_scatter_nd_update(tf.ones(2), [[1]], tf.reshape(w * w, (1,)))
    assert tape.gradient(stacked, w).item() == 3 and tape.gradient(put, w).item() == 6


def test_slices_without_a_shape_are_no_tensor():
    with pytest.raises(ArgumentError, match="dense_shape"):
        tf.convert_to_tensor(tf.IndexedSlices(torch.ones(1, 2), torch.tensor([0])))


@pytest.mark.parametrize("seed", [1.0, 2**40, -1, torch.tensor(3)])
def test_any_number_is_a_seed(seed):
    tf.random.set_seed(seed)
    first = tf.random.uniform([2])
    tf.random.set_seed(seed)
    assert torch.equal(first, tf.random.uniform([2]))


# What is not there


def test_what_is_not_there_is_named():
    with pytest.raises(AttributeError, match=r"tensorflow has no 'reduce_men' here. Nearest: reduce_mean"):
        tf.reduce_men  # noqa: B018
    with pytest.raises(ArgumentError, match="there is no '/TPU:0', only CPU:0"):
        tf.device("/TPU:0")


def test_a_device():
    with tf.device("/CPU:0"):
        assert tf.zeros(2).device.type == "cpu"


def test_every_name_is_there():
    assert [name for name in tf.__all__ if not hasattr(tf, name)] == []
    for room in (tf.data, tf.distribute, tf.image, tf.io, tf.linalg, tf.math, tf.nn, tf.random, tf.strings):
        assert [name for name in room.__all__ if not hasattr(room, name)] == []


def test_characters():
    assert tf.strings.unicode_split("héy", "UTF-8").tolist() == ["h", "é", "y"]
    assert tf.strings.unicode_split("hé".encode(), "UTF-8").tolist() == [b"h", "é".encode()]
    assert tf.strings.unicode_split(["ab", "c"], "UTF-8").to_list() == [[b"a", b"b"], [b"c"]]


def test_sounds():
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(16000)
        sound.writeframes(np.array([0, 16384, -32768], "<i2").tobytes())
    audio, rate = tf.audio.decode_wav(file.getvalue(), desired_channels=2, desired_samples=5)
    assert int(rate) == 16000
    assert audio.tolist() == [[0.0, 0.0], [0.5, 0.5], [-1.0, -1.0], [0.0, 0.0], [0.0, 0.0]]
    assert tf.audio.decode_wav(file.getvalue(), 1, 2).audio.shape == (2, 1)
    with pytest.raises(DataError, match="no WAV file"):
        tf.audio.decode_wav(b"nothing")


def test_segments_in_a_functional_model():
    class Joined(layers.Layer):
        def call(self, x):
            return tf.transpose(tf.math.unsorted_segment_sum(tf.transpose(x), [0, 1, -1, 0], 2))

    inputs = lamella.Input((4,))
    model = lamella.Model(inputs, Joined()(inputs))
    assert model.output_shape == (None, 2)
    assert model(torch.tensor([[1.0, 2.0, 4.0, 8.0]])).tolist() == [[9.0, 2.0]]


# Tables, summaries, numbers for a model's inputs


def test_csv_files_as_batches_of_columns(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text('n,big,x,word,y\n1,3000000000,1.5,"a,b",0\n,2,,c,1\n3,1,2.0,,1\n', encoding="utf-8")
    make = tf.data.experimental.make_csv_dataset
    [(columns, label)] = make(str(path), 3, label_name="y", num_epochs=1, shuffle=False)
    assert columns["n"].tolist() == [1, 0, 3] and columns["n"].dtype is torch.int32
    assert columns["big"].dtype is torch.int64 and columns["x"].dtype is torch.float32
    assert columns["word"].tolist() == ["a,b", "c", ""] and label.tolist() == [0, 1, 1]
    some = next(iter(make([str(path)], 2, select_columns=["x", "n"], column_defaults=[7, 0.5], shuffle=False)))
    assert list(some) == ["n", "x"] and some["n"].tolist() == [1, 7] and some["x"].tolist() == [1.5, 0.5]
    endless = make(str(path), 2, select_columns=["y"], shuffle=False)
    assert [b["y"].tolist() for b in endless.take(3)] == [[0, 1], [1, 0], [1, 1]]
    with pytest.raises(ArgumentError, match="no column 'z'"):
        make(str(path), 2, label_name="z")
    with pytest.raises(ArgumentError, match="no file fits"):
        make(str(tmp_path / "no.csv"), 2)


def test_csv_files_row_by_row(tmp_path):
    import gzip

    path = tmp_path / "t.csv.gz"
    path.write_bytes(gzip.compress(b"a,b,c\n1,x,2.5\n,y,3\n"))
    rows = tf.data.experimental.CsvDataset(str(path), [9, 0.0], "GZIP", header=True, select_cols=[0, 2])
    assert [(int(a), float(c)) for a, c in rows] == [(1, 2.5), (9, 3.0)]
    with pytest.raises(DataError, match="a row of 3 fields"):
        list(tf.data.experimental.CsvDataset(str(path), [9], "GZIP"))


def test_summaries_are_files_for_tensorboard(tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    assert tf.summary.scalar("loss", 1.0, step=0) is False
    writer = tf.summary.create_file_writer(tmp_path)
    with writer.as_default():
        tf.summary.scalar("loss", tf.constant(2.5), step=tf.constant(3))
        with pytest.raises(ArgumentError, match="no step"):
            tf.summary.scalar("loss", 1.0)
    with writer.as_default(step=4):
        tf.summary.scalar("loss", 1.5)
    writer.close()
    read = EventAccumulator(str(tmp_path))
    read.Reload()
    assert [(each.step, each.value) for each in read.Scalars("loss")] == [(3, 2.5), (4, 1.5)]


def test_stateless_changes_follow_from_their_seed_alone():
    picture = tf.random.uniform((8, 9, 3))
    for change in (
        lambda seed: tf.image.stateless_random_brightness(picture, 0.5, seed),
        lambda seed: tf.image.stateless_random_contrast(picture, 0.1, 0.9, seed=seed),
        lambda seed: tf.image.stateless_random_saturation(picture, 0.1, 0.9, seed),
        lambda seed: tf.image.stateless_random_hue(picture, 0.4, seed),
        lambda seed: tf.image.stateless_random_crop(picture, (3, 2, 3), seed),
        lambda seed: tf.random.stateless_normal((4,), seed),
        lambda seed: tf.random.stateless_uniform((9,), seed, 0, 1000, tf.int32),
    ):
        one, again, other = change((1, 2)), change(tf.constant([1, 2])), change((2, 1))
        assert torch.equal(one, again) and not torch.equal(one, other)
    assert tf.image.stateless_random_crop(picture, (3, 2, 3), (5, 6)).shape == (3, 2, 3)
    assert tf.random.stateless_uniform((500,), (1, 1), -2.0, 3.0).amin() >= -2
