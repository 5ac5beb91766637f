"""Several functions of models in one folder, as `keras.export.ExportArchive` has them; read again by torch alone."""

import json
import subprocess
import sys

import numpy as np
import pytest
import torch

import lamella
from lamella.errors import ArgumentError, NotBuiltError
from lamella.export import ExportArchive

SPEC = lamella.InputSpec(shape=(None, 3), dtype="float32")


def network():
    layers = lamella.layers
    return lamella.Sequential([lamella.Input((3,)), layers.Dense(4, "relu"), layers.Dropout(0.5), layers.Dense(2)])


def load(folder, name):
    return torch.export.load(folder / f"{name}.pt2").module()


def test_inference_training_and_what_is_around_them(tmp_path, capsys):
    model = network()
    archive = ExportArchive()
    archive.track(model)
    archive.add_endpoint("call_inference", lambda x: model.call(x, training=False), [SPEC])
    archive.add_endpoint("call_training", lambda x: model.call(x, training=True), [SPEC])
    served = archive.track_and_add_endpoint("serve", model, [SPEC])
    archive.add_endpoint("probabilities", lambda x: served(x / 255).softmax(-1), [SPEC])
    archive.add_variable_collection("first", model.layers[0].variables)
    archive.write_out(tmp_path / "out")
    assert "call_inference.pt2" in capsys.readouterr().out
    assert len(archive.variables) == len(archive.trainable_variables) == 4 and not archive.non_trainable_variables
    x = torch.rand(6, 3)
    torch.testing.assert_close(load(tmp_path / "out", "call_inference")(x), model(x))
    torch.testing.assert_close(load(tmp_path / "out", "serve")(x), model(x))
    torch.testing.assert_close(load(tmp_path / "out", "probabilities")(x), model(x / 255).softmax(-1))
    trains = load(tmp_path / "out", "call_training")
    assert not torch.equal(trains(x), trains(x))  # dropout
    from safetensors.torch import load_file

    found = load_file(tmp_path / "out" / "first.safetensors")
    np.testing.assert_array_equal(found["0"], model.layers[0].get_weights()[0])


def test_torch_alone_reads_it(tmp_path):
    model = network()
    archive = ExportArchive()
    archive.track_and_add_endpoint("serve", model, [SPEC])
    archive.write_out(tmp_path / "out", verbose=False)
    code = (
        "import sys, torch; f = torch.export.load(sys.argv[1]).module(); print(f(torch.ones(2, 3)).tolist()); "
        "assert 'lamella' not in sys.modules"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "out" / "serve.pt2")]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    np.testing.assert_allclose(np.array(json.loads(result.stdout)), model(torch.ones(2, 3)).detach(), atol=1e-6)


def test_several_arguments_and_nests(tmp_path):
    a, b = lamella.Input((3,)), lamella.Input((4,))
    pair = lamella.Model([a, b], lamella.layers.concatenate([a, b]))
    named = lamella.Model({"a": a, "b": b}, lamella.layers.concatenate([a, b]))
    other = lamella.InputSpec(shape=(None, 4), dtype="float32")
    archive = ExportArchive()
    archive.add_endpoint("pair", pair.call, [[SPEC, other]])
    archive.add_endpoint("named", named.call, [{"a": SPEC, "b": other}])
    archive.add_endpoint("two", lambda x, y: {"sum": x.sum() + y.sum()}, [SPEC, other])
    archive.write_out(tmp_path / "out", verbose=False)
    x, y = torch.rand(5, 3), torch.rand(5, 4)
    joined = torch.cat([x, y], -1)
    torch.testing.assert_close(load(tmp_path / "out", "pair")([x, y]), joined)
    torch.testing.assert_close(load(tmp_path / "out", "named")({"a": x, "b": y}), joined)
    torch.testing.assert_close(load(tmp_path / "out", "two")(x, y)["sum"], x.sum() + y.sum())


MODEL = network()


def test_layers_are_found_where_functions_keep_them_or_tracked(tmp_path):
    held = {"models": [network()]}

    class Hides:
        model = network()

        def __call__(self, x):
            return type(self).model(x)

    archive, hides = ExportArchive(), Hides()
    archive.add_endpoint("closure", lambda x: held["models"][0](x), [SPEC])
    archive.add_endpoint("name", lambda x: MODEL(x), [SPEC])
    archive.add_endpoint("hidden", hides, [SPEC])
    archive.track(Hides.model)
    archive.write_out(tmp_path / "out", verbose=False)
    x = torch.rand(4, 3)
    for name, model in {"closure": held["models"][0], "name": MODEL, "hidden": Hides.model}.items():
        torch.testing.assert_close(load(tmp_path / "out", name)(x), model(x))
    untracked = ExportArchive()
    untracked.add_endpoint("serve", hides, [SPEC])
    with pytest.raises(RuntimeError) as caught:
        untracked.write_out(tmp_path / "none")
    assert "archive.track(layer)" in caught.value.__notes__[-1]
    assert not (tmp_path / "none").exists()


def test_written_again_in_the_place_of_the_old(tmp_path):
    archive = ExportArchive()
    archive.track_and_add_endpoint("old", network(), [SPEC])
    archive.write_out(tmp_path / "out", verbose=False)
    archive = ExportArchive()
    archive.track_and_add_endpoint("new", network(), [SPEC])
    archive.write_out(tmp_path / "out", verbose=False)
    assert [each.name for each in (tmp_path / "out").iterdir()] == ["new.pt2"]
    (tmp_path / "out" / "notes.txt").write_text("mine")
    with pytest.raises(ArgumentError, match=r"notes\.txt"):
        archive.write_out(tmp_path / "out")


def test_what_is_refused(tmp_path):
    archive, model = ExportArchive(), network()
    with pytest.raises(ArgumentError, match=r"torch\.export"):
        ExportArchive(format="saved_model")
    with pytest.raises(ArgumentError, match="no endpoint"):
        archive.write_out(tmp_path / "out")
    with pytest.raises(ArgumentError, match="layer or a model"):
        archive.track("model")
    with pytest.raises(NotBuiltError, match="no weights yet"):
        archive.track(lamella.layers.Dense(2))
    with pytest.raises(ArgumentError, match="input_signature="):
        archive.add_endpoint("serve", model)
    with pytest.raises(ArgumentError, match="letters"):
        archive.add_endpoint("../serve", model, [SPEC])
    archive.add_endpoint("serve", model, [SPEC])
    with pytest.raises(ArgumentError, match="already"):
        archive.add_endpoint("serve", model, [SPEC])
    with pytest.raises(ArgumentError, match="list of variables"):
        archive.add_variable_collection("numbers", [1, 2])
    with pytest.raises(ArgumentError, match="SavedModel"):
        archive.write_out(tmp_path / "out", options={})
