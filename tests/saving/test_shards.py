"""Weights in files of limited size, both ways with real Keras; a kill leaves old or new ones; parts can be skipped."""

import json
import os
from pathlib import Path

import h5py
import numpy as np
import pytest

import lamella
from lamella.errors import ArgumentError, FileError

keras = pytest.importorskip("keras")

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:keras")
KIB = 1 / 1024**2


def model(library, seed=0):
    library.utils.set_random_seed(seed)
    layers = library.layers
    inner = library.Sequential([library.Input((16,)), layers.Dense(16, name="in"), layers.BatchNormalization()])
    made = library.Sequential([library.Input((8,)), layers.Dense(16), inner, layers.Dense(4)])
    made.compile("adam", "mse")
    made.fit(np.ones((4, 8)), np.ones((4, 4)), verbose=0)
    return made


def same(one, other):
    for a, b in zip(one.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("size", [1.05 * KIB, 2 * KIB, 1.0])
def test_both_ways_with_keras(tmp_path, size):
    ours, theirs = model(lamella), model(keras)
    ours.save_weights(tmp_path / "ours.weights.json", max_shard_size=size)
    theirs.save_weights(tmp_path / "theirs.weights.json", max_shard_size=size)
    names = {name.name.replace("ours", "theirs") for name in tmp_path.glob("ours*")}
    assert names == {name.name for name in tmp_path.glob("theirs*")}  # the same numbers in as many files
    index, wanted = (json.loads((tmp_path / f"{each}.weights.json").read_text()) for each in ("ours", "theirs"))
    assert index["weight_map"].keys() == wanted["weight_map"].keys()
    assert index["metadata"]["total_size"] == wanted["metadata"]["total_size"] + 4  # our steps are counted in int64
    other = model(keras, 1)
    other.load_weights(tmp_path / "ours.weights.json")
    same(other, ours)
    other = model(lamella, 1)
    other.load_weights(tmp_path / "theirs.weights.json")
    same(other, theirs)
    assert other.optimizer.iterations == 1


def test_no_shard_is_larger(tmp_path):
    ours = model(lamella)
    ours.save_weights(tmp_path / "m.weights.json", max_shard_size=1.05 * KIB)
    shards = sorted(tmp_path.glob("*.h5"))
    assert len(shards) > 2
    for path in shards:
        sizes = []
        with h5py.File(path) as file:
            file.visititems(lambda _, found, sizes=sizes: sizes.append(getattr(found, "nbytes", 0)))
        assert sum(sizes) <= 1.05 * 1024


def test_saved_again_a_kill_at_any_moment_leaves_old_or_new_weights(tmp_path, monkeypatch):
    """Every change of the folder is tried as the last one before a kill."""
    path, ours, other = tmp_path / "m.weights.json", model(lamella), model(lamella, 1)
    ours.save_weights(path, max_shard_size=2 * KIB)
    names = {each.name for each in tmp_path.iterdir()}
    seen = []

    def look(*_):
        other.load_weights(path)
        found = [weight.mean() for weight in other.get_weights()]
        seen.append([float(mean) for mean in found])

    def looking(function):
        def then_look(*args, **kwargs):
            found = function(*args, **kwargs)
            look()
            return found

        return then_look

    for module, name in ((os, "replace"), (os, "link"), (Path, "unlink")):
        monkeypatch.setattr(module, name, looking(getattr(module, name)))
    look()
    for weight in ours.weights:
        weight.assign(weight + 1)
    ours.save_weights(path, max_shard_size=2 * KIB)
    look()
    monkeypatch.undo()
    assert len(seen) > 10
    assert all(found in (seen[0], seen[-1]) for found in seen)
    assert seen[0] != seen[-1]
    assert {each.name for each in tmp_path.iterdir()} == names
    other = model(keras, 1)
    other.load_weights(path)
    same(other, ours)


def test_saved_again_in_fewer_shards(tmp_path):
    path, ours, other = tmp_path / "m.weights.json", model(lamella), model(lamella, 1)
    ours.save_weights(path, max_shard_size=1.05 * KIB)
    ours.save_weights(path, max_shard_size=1)
    assert {each.name for each in tmp_path.iterdir()} == {"m.weights.json", "m_00000.weights.h5"}
    other.load_weights(path)
    same(other, ours)


def test_a_save_that_fails_leaves_the_old_weights(tmp_path, monkeypatch):
    path, ours = tmp_path / "m.weights.json", model(lamella)
    ours.save_weights(path, max_shard_size=2 * KIB)
    before = {each: each.read_bytes() for each in tmp_path.iterdir()}

    def fails(store):
        raise OSError("no space left")

    monkeypatch.setattr(ours.layers[-1], "save_own_variables", fails)
    with pytest.raises(OSError, match="no space"):
        ours.save_weights(path, max_shard_size=2 * KIB)
    assert {each: each.read_bytes() for each in tmp_path.iterdir()} == before


def test_what_is_refused(tmp_path):
    ours, path = model(lamella), tmp_path / "m.weights.json"
    with pytest.raises(ArgumentError, match=r"\.weights\.json"):
        ours.save_weights(tmp_path / "m.safetensors", max_shard_size=1)
    with pytest.raises(ArgumentError, match="above 0"):
        ours.save_weights(path, max_shard_size=0)
    with pytest.raises(ArgumentError, match="Allow larger shards"):
        ours.save_weights(path, max_shard_size=0.1 * KIB)
    assert not list(tmp_path.iterdir())
    ours.save_weights(path, max_shard_size=2 * KIB)
    with pytest.raises(ArgumentError, match="overwrite=True"):
        ours.save_weights(path, overwrite=False, max_shard_size=2 * KIB)
    (tmp_path / "m_00001.weights.h5").unlink()
    before = ours.get_weights()
    with pytest.raises(FileError, match="m_00001"):
        ours.load_weights(path)
    for a, b in zip(before, ours.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("name", ["../outside.weights.h5", "/etc/passwd", "a\\b.h5", 3])
def test_an_index_names_no_file_elsewhere(tmp_path, name):
    path, ours = tmp_path / "m.weights.json", model(lamella)
    ours.save_weights(tmp_path.parent / "outside.weights.h5")
    path.write_text(json.dumps({"metadata": {}, "weight_map": {"/layers/dense/vars": [name]}}))
    with pytest.raises(FileError, match="as a shard"):
        ours.load_weights(path)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"weight_map": 3}', '{"weight_map": {"/vars": 3}}', "\xff"])
def test_a_damaged_index(tmp_path, content):
    path = tmp_path / "m.weights.json"
    path.write_text(content, encoding="latin-1")
    with pytest.raises(FileError):
        model(lamella).load_weights(path)


@pytest.mark.parametrize("ending", ["weights.h5", "weights.json"])
def test_layers_to_skip(tmp_path, ending):
    size = {"max_shard_size": 2 * KIB} if ending == "weights.json" else {}
    path = tmp_path / f"m.{ending}"
    ours, other = model(lamella), model(lamella, 1)
    kept = other.layers[1].get_weights()
    ours.save_weights(path, **size)
    other.load_weights(path, objects_to_skip=[other.layers[1]])
    for a, b in zip(kept, other.layers[1].get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    same(other.layers[0], ours.layers[0])
    ours.save_weights(path, objects_to_skip=[ours.layers[1]], **size)
    with pytest.raises(FileError):
        other.load_weights(path)
    other.load_weights(path, objects_to_skip=[other.layers[1]])
    theirs = model(keras, 1)
    theirs.load_weights(path, objects_to_skip=[theirs.layers[1]])
    same(theirs.layers[2], ours.layers[2])


def test_bfloat16_of_keras(tmp_path):
    def small(library):
        return library.Sequential([library.Input((4,)), library.layers.Dense(3, dtype="bfloat16")])

    theirs, ours = small(keras), small(lamella)
    theirs.save_weights(tmp_path / "m.weights.h5")
    ours.load_weights(tmp_path / "m.weights.h5")
    for a, b in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b.astype("float32"))
