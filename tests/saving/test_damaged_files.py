"""Damaged and hostile files end in a clear error; the model is as it was; nothing is run or written elsewhere."""

import io
import json
import pickle
import resource
import time
import zipfile
from contextlib import contextmanager

import h5py
import numpy as np
import pytest
from model_zoo import ROWS, data, dense

import lamella
from lamella.errors import ArgumentError, FileError, LamellaError, NotBuiltError, UnknownNameError, UnsafeError


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    model = trained()
    model.save(folder / "m.keras")
    model.save_weights(folder / "m.weights.h5")
    model.save_weights(folder / "m.safetensors")
    return folder


def trained():
    model = dense(lamella)
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(*data(ROWS), verbose=0)
    return model


def state(model):
    return [*model.get_weights(), *(value.numpy() for value in model.optimizer.variables)]


@contextmanager
def little():
    """Fails if what is inside takes 20 seconds or a GiB of memory more than there was."""
    start, memory = time.monotonic(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    yield
    assert time.monotonic() - start < 20
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory < 2**20  # in KiB


def mutations(content, count, seed):
    """Cut, overwritten, flipped and shuffled versions of a file."""
    rng = np.random.default_rng(seed)
    for number in range(count):
        found = bytearray(content)
        kind = number % 4
        if kind == 0:
            found = found[: rng.integers(0, len(found))]
        elif kind == 1:
            for place in rng.integers(0, len(found), 30):
                found[place] ^= 1 << rng.integers(0, 8)
        elif kind == 2:
            start = rng.integers(0, len(found) - 64)
            found[start : start + 64] = rng.bytes(64)
        else:
            head = rng.integers(0, min(2048, len(found)), 8)
            for place in head:
                found[place] = rng.integers(0, 256)
        if bytes(found) != content:
            yield bytes(found)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("name", ["m.keras", "m.weights.h5", "m.safetensors"])
def test_mutated_weights_load_whole_or_not_at_all(folder, tmp_path, name, seed):
    model = trained()
    before = state(model)
    refused = 0
    for content in mutations((folder / name).read_bytes(), 20, seed):
        (tmp_path / name).write_bytes(content)
        try:
            with little():
                model.load_weights(tmp_path / name)
        except LamellaError:
            refused += 1
            for one, other in zip(state(model), before, strict=True):
                np.testing.assert_array_equal(one, other)
        else:  # the damage hit numbers, or nothing that is read
            model.load_weights(folder / name)
            model = trained()
            before = state(model)
    assert refused


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("seed", range(4))
def test_mutated_models_load_or_are_refused(folder, tmp_path, seed):
    refused = 0
    for content in mutations((folder / "m.keras").read_bytes(), 20, seed + 10):
        (tmp_path / "m.keras").write_bytes(content)
        try:
            with little():
                lamella.models.load_model(tmp_path / "m.keras")
        except LamellaError:
            refused += 1
    assert refused


def rewritten(folder, tmp_path, change=None, weights=None, extra=()):
    """The good file with another config, other weights or further members."""
    path = tmp_path / "changed.keras"
    with zipfile.ZipFile(folder / "m.keras") as source, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as target:
        config = json.loads(source.read("config.json"))
        if change is not None:
            config = change(config) or config
        target.writestr("config.json", json.dumps(config))
        target.writestr("metadata.json", source.read("metadata.json"))
        target.writestr("model.weights.h5", source.read("model.weights.h5") if weights is None else weights)
        for name, content in extra:
            target.writestr(name, content)
    return path


def units(number):
    def change(config):
        config["config"]["layers"][1]["config"]["units"] = number

    return change


def replaced_layer(config_of_layer):
    def change(config):
        config["config"]["layers"][2] = config_of_layer

    return change


CALL = {"module": "builtins", "class_name": "function", "config": "exec", "registered_name": "exec"}
LAMBDA = {"class_name": "__lambda__", "config": {"value": ["4wAAAAA=", None, None]}}
HOSTILE = {
    "a huge layer": (units(10**9), FileError, "far more than the file has numbers for"),
    "a huger layer": (units(10**18), FileError, "far more than the file has numbers for"),
    "another size": (units(9), LamellaError, "expected size 8"),
    "no size": (units("many"), LamellaError, "whole number"),
    "a class of the system": (
        replaced_layer(
            {"module": "os", "class_name": "system", "config": {"command": "true"}, "registered_name": None}
        ),
        UnknownNameError,
        "system",
    ),
    "a class of subprocess": (
        replaced_layer({"module": "subprocess", "class_name": "Popen", "config": {"args": ["true"]}}),
        UnknownNameError,
        "Popen",
    ),
    "a function of Python": (
        lambda config: config["config"]["layers"][1]["config"].update(activation=CALL),
        UnknownNameError,
        "exec",
    ),
    "code": (
        replaced_layer({"module": "keras.layers", "class_name": "Lambda", "config": {"function": LAMBDA}}),
        UnsafeError,
        "safe_mode=False",
    ),
    "no layers": (lambda config: config["config"].update(layers="none"), LamellaError, "takes layers"),
    "a list": (lambda config: [1, 2], FileError, "describes no model"),
    "no model": (lambda config: config.update(class_name="Dense", module="keras.layers"), FileError, "units"),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_hostile_configs(folder, tmp_path, what):
    change, error, message = HOSTILE[what]
    with little(), pytest.raises(error, match=message):
        lamella.models.load_model(rewritten(folder, tmp_path, change))


def h5_with(build):
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        build(file)
    return buffer.getvalue()


def external(file):
    file["layers/dense/vars/0"] = h5py.ExternalLink("/etc/passwd", "x")


def soft(file):
    file["numbers"] = np.zeros((8, 8), "float32")
    file["layers/dense/vars/0"] = h5py.SoftLink("/numbers")
    file["layers/dense/vars/1"] = np.zeros(8, "float32")


def elsewhere(file):
    group = file.require_group("layers/dense/vars")
    group.create_dataset("0", (8, 8), "float32", external=[("/etc/passwd", 0, 256)])
    group["1"] = np.zeros(8, "float32")


def immense(file):
    group = file.require_group("layers/dense/vars")
    group.create_dataset("0", (10**6, 10**6, 10**3), "float64", chunks=(100, 100, 10), compression="gzip")
    group["1"] = np.zeros(8, "float32")


def a_group_for_numbers(file):
    file.require_group("layers/dense/vars/0")
    file["layers/dense/vars/1"] = np.zeros(8, "float32")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("build", [external, soft, elsewhere, immense, a_group_for_numbers])
def test_hostile_weights(folder, tmp_path, build):
    with little(), pytest.raises(FileError, match=r"layers/dense|link"):
        lamella.models.load_model(rewritten(folder, tmp_path, weights=h5_with(build)))
    (tmp_path / "m.weights.h5").write_bytes(h5_with(build))
    model = trained()
    before = state(model)
    with pytest.raises(FileError):
        model.load_weights(tmp_path / "m.weights.h5")
    for one, other in zip(state(model), before, strict=True):
        np.testing.assert_array_equal(one, other)


def test_paths_stay_inside(folder, tmp_path):
    outside = tmp_path.parent / "escaped.txt"
    for name in ("assets/../../escaped.txt", f"assets/{outside}", "assets/a/../../../escaped.txt"):
        with pytest.raises(FileError, match="outside its own folder"):
            lamella.models.load_model(rewritten(folder, tmp_path, extra=[(name, "x")]))
    assert not outside.exists()


def test_what_unpacks_to_far_more(folder, tmp_path):
    with pytest.raises(FileError, match="would unpack to"):
        lamella.models.load_model(rewritten(folder, tmp_path, weights=b"\0" * (1 << 27)))


def test_a_pickle_is_no_model(tmp_path):
    (tmp_path / "m.keras").write_bytes(pickle.dumps(["not", "a", "model"]))
    with pytest.raises(FileError, match="damaged, or no model file"):
        lamella.models.load_model(tmp_path / "m.keras")


def test_a_lambda_needs_trust(tmp_path):
    model = lamella.Sequential([lamella.Input((2,)), lamella.layers.Lambda(lambda x: x * 3.0 + 1.0)])
    model.save(tmp_path / "m.keras")
    with pytest.raises(UnsafeError, match="Python code"):
        lamella.models.load_model(tmp_path / "m.keras")
    again = lamella.models.load_model(tmp_path / "m.keras", safe_mode=False)
    assert again(np.ones((1, 2), "float32")).tolist() == [[4.0, 4.0]]
    keras = pytest.importorskip("keras")
    theirs = keras.models.load_model(tmp_path / "m.keras", safe_mode=False)
    assert theirs.predict(np.ones((1, 2), "float32"), verbose=0).tolist() == [[4.0, 4.0]]


def test_unknown_classes_are_named(tmp_path):
    @lamella.saving.register_keras_serializable("gone")
    class Gone(lamella.layers.Layer):
        def call(self, x):
            return x

    lamella.Sequential([lamella.Input((2,)), Gone()]).save(tmp_path / "m.keras")
    lamella.utils.get_custom_objects().pop("gone>Gone")
    with pytest.raises(UnknownNameError, match=r"'Gone'.*custom_objects"):
        lamella.models.load_model(tmp_path / "m.keras")
    again = lamella.models.load_model(tmp_path / "m.keras", custom_objects={"Gone": Gone})
    assert type(again.layers[0]) is Gone


def test_names_and_endings(folder, tmp_path):
    model = dense(lamella)
    with pytest.raises(ArgumentError, match=r"ends in \.keras .* got 'm.pt'"):
        model.save(tmp_path / "m.pt")
    with pytest.raises(ArgumentError, match="exists already"):
        model.save(folder / "m.keras", overwrite=False)
    with pytest.raises(ArgumentError, match="There is no folder"):
        model.save(tmp_path / "none" / "m.keras")
    with pytest.raises(ArgumentError, match=r".weights.h5 or .safetensors; got 'm.bin'"):
        model.save_weights(tmp_path / "m.bin")
    with pytest.raises(FileNotFoundError):
        lamella.models.load_model(tmp_path / "none.keras")
    with pytest.raises(FileNotFoundError):
        model.load_weights(tmp_path / "none.weights.h5")
    with pytest.raises(NotBuiltError):
        lamella.Sequential([lamella.layers.Dense(2)]).load_weights(folder / "m.weights.h5")


def test_weights_of_another_model_are_refused_or_skipped(folder):
    other = lamella.Sequential([lamella.Input((8,)), lamella.layers.Dense(8), lamella.layers.Dense(5)])
    before = other.get_weights()
    with pytest.raises(FileError, match=r"layers/dense_1: Layer .* shape \(8, 5\).*\(8, 8\)"):
        other.load_weights(folder / "m.weights.h5")
    for one, two in zip(other.get_weights(), before, strict=True):
        np.testing.assert_array_equal(one, two)
    with pytest.warns(UserWarning, match="do not fit"):
        other.load_weights(folder / "m.weights.h5", skip_mismatch=True)
    assert not np.array_equal(other.get_weights()[0], before[0])
    np.testing.assert_array_equal(other.get_weights()[2], before[2])
