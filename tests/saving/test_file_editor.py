"""`KerasFileEditor`: what it writes loads here and in real Keras; wrong names and hostile files are refused."""

import h5py
import numpy as np
import pytest

import lamella
from lamella.errors import ArgumentError, FileError
from lamella.saving import KerasFileEditor

keras = pytest.importorskip("keras")

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:keras")


def before(library, seed=0):
    library.utils.set_random_seed(seed)
    return library.Sequential([library.Input((4,)), library.layers.Dense(8), library.layers.Dense(3)])


def after(library):
    """One layer more, and the last of another class."""
    layers = library.layers
    made = [layers.Dense(8), layers.LayerNormalization(), layers.EinsumDense("ab,bc->ac", 3, bias_axes="c")]
    return library.Sequential([library.Input((4,)), *made])


def nested(library):
    layers = library.layers
    inner = library.Sequential([library.Input((4,)), layers.Dense(4), layers.BatchNormalization()])
    return library.Sequential([library.Input((4,)), inner, layers.Dense(2)])


def test_weights_of_before_for_the_model_of_after(tmp_path):
    old = before(keras)
    old.save_weights(tmp_path / "old.weights.h5")
    editor = KerasFileEditor(tmp_path / "old.weights.h5")
    assert editor.compare(before(lamella)) == {"status": "success", "error_count": 0, "match_count": 4}
    assert editor.compare(after(lamella)) == {"status": "error", "error_count": 3, "match_count": 2}
    editor.rename_object("dense_1", "einsum_dense")
    editor.add_object("layers/layer_normalization", {"0": np.ones(8, "float32"), "1": np.zeros(8, "float32")})
    assert editor.compare(after(lamella)) == {"status": "success", "error_count": 0, "match_count": 6}
    editor.resave_weights(tmp_path / "new.weights.h5")
    for library in (lamella, keras):
        model = after(library)
        model.load_weights(tmp_path / "new.weights.h5")
        np.testing.assert_array_equal(model.get_weights()[0], old.get_weights()[0])
        np.testing.assert_array_equal(model.get_weights()[4], old.get_weights()[2])


def test_the_same_edits_give_the_same_file_as_in_keras(tmp_path):
    before(keras).save_weights(tmp_path / "old.weights.h5")
    found = {}
    for name, cls in {"ours": KerasFileEditor, "theirs": keras.saving.KerasFileEditor}.items():
        editor = cls(str(tmp_path / "old.weights.h5"))
        editor.rename_object("layers/dense_1", "last")
        editor.delete_weight("last", "1")
        editor.add_weights("dense", {"2": np.arange(3.0)})
        editor.add_object("layers/new", {"0": np.ones((2, 2))})
        editor.add_object("gone", {"0": np.ones(1)})
        editor.delete_object("gone")
        editor.save(str(tmp_path / f"{name}.weights.h5"))
        with h5py.File(tmp_path / f"{name}.weights.h5") as file:
            found[name] = {}
            file.visititems(
                lambda path, each, into=found[name]: into.update({path: each[()]} if hasattr(each, "shape") else {})
            )
    assert found["ours"].keys() == found["theirs"].keys()
    for path, value in found["theirs"].items():
        np.testing.assert_array_equal(found["ours"][path], value)


@pytest.mark.parametrize("ending", ["keras", "weights.h5"])
def test_unchanged_it_holds_all_that_the_file_holds(tmp_path, ending):
    """Keras's leaves out the layers of models in models."""
    model, path = nested(lamella), tmp_path / f"m.{ending}"
    model.compile("adam", "mse")
    model.fit(np.ones((4, 4)), np.ones((4, 2)), verbose=0)
    (model.save if ending == "keras" else model.save_weights)(path)
    editor = KerasFileEditor(path)
    assert editor.compare(model) == {"status": "success", "error_count": 0, "match_count": 8 + 2 + 12}
    assert (editor.config is not None, editor.metadata is not None) == (ending == "keras", ending == "keras")
    editor.save(tmp_path / "again.weights.h5")
    other = nested(lamella)
    other.compile("adam", "mse")
    other.fit(np.ones((4, 4)), np.ones((4, 2)), epochs=2, verbose=0)
    other.load_weights(tmp_path / "again.weights.h5")
    for a, b in zip(model.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert other.optimizer.iterations == 1


def test_what_is_said_of_differences(tmp_path, capsys):
    before(lamella).save_weights(tmp_path / "m.weights.h5")
    editor = KerasFileEditor(tmp_path / "m.weights.h5")
    editor.add_weights("dense", {"0": np.ones((5, 8))})
    editor.delete_object("dense_1")
    editor.compare(before(lamella))
    assert capsys.readouterr().out.splitlines() == [
        "/layers/dense/0: shape (4, 8) in the model, shape (5, 8) in the file.",
        "The model has /layers/dense_1 (with 0, 1), the file does not.",
        "The file does not fit the model: 2 differences, 1 weights that match.",
    ]


def test_wrong_names(tmp_path):
    nested(lamella).save_weights(tmp_path / "m.weights.h5")
    editor = KerasFileEditor(tmp_path / "m.weights.h5")
    with pytest.raises(ArgumentError, match="whole path"):
        editor.delete_object("dense")
    with pytest.raises(ArgumentError, match="Nearest: sequential"):
        editor.delete_object("sequentiel")
    with pytest.raises(ArgumentError, match="'dens' is not among"):
        editor.delete_object("layers/dens")
    with pytest.raises(ArgumentError, match="without '/'"):
        editor.rename_object("layers/dense", "layers/dense_1")
    with pytest.raises(ArgumentError, match="delete it first"):
        editor.rename_object("layers/dense", "sequential")
    with pytest.raises(ArgumentError, match=r"it has \['0', '1'\]"):
        editor.delete_weight("layers/dense", "2")
    with pytest.raises(ArgumentError, match="dict of arrays"):
        editor.add_weights("layers/dense", [1])
    with pytest.raises(ArgumentError, match=r"\.weights\.h5"):
        editor.save(tmp_path / "m.h5")
    with pytest.raises(ArgumentError, match=r"\.keras"):
        KerasFileEditor(tmp_path / "m.h5")
    with pytest.raises(FileNotFoundError):
        KerasFileEditor(tmp_path / "none.weights.h5")


def test_hostile_files(tmp_path):
    path = tmp_path / "m.weights.h5"
    for kind in ("huge", "external", "link", "damaged"):
        with h5py.File(path, "w") as file:
            group = file.create_group("layers/dense/vars")
            if kind == "huge":
                group.create_dataset("0", shape=(10**6, 10**7), dtype="float32", chunks=True)
            elif kind == "external":
                group.create_dataset("0", (2,), "float32", external=[("/etc/passwd", 0, 8)])
            elif kind == "link":
                group["0"] = h5py.ExternalLink("/etc/passwd", "/")
        if kind == "damaged":
            path.write_bytes(b"no HDF5")
        with pytest.raises(FileError):
            KerasFileEditor(path)
