"""Reading and writing folders in Hugging Face's form: what is right, and everything that can be wrong."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from lamella.errors import ArgumentError, DownloadError, FileError, UnsafeError
from lamella.language import read_checkpoint, write_checkpoint
from lamella.language.pretrained import copy_tensors

TENSORS = {"a.weight": torch.arange(6.0).reshape(2, 3), "b.bias": torch.ones(4, dtype=torch.bfloat16)}


@pytest.fixture
def folder(tmp_path):
    write_checkpoint(tmp_path / "new" / "model", {"model_type": "bert", "hidden_size": 4}, TENSORS)
    return tmp_path / "new" / "model"


def test_what_is_written_is_read(folder):
    config, tensors, found = read_checkpoint(str(folder))
    assert config == {"model_type": "bert", "hidden_size": 4} and found == folder
    assert tensors.keys() == TENSORS.keys()
    for name, tensor in tensors.items():
        assert tensor.dtype == TENSORS[name].dtype and torch.equal(tensor, TENSORS[name])


def test_views_and_weights_that_train_are_written_as_they_are(tmp_path):
    kernel = torch.nn.Parameter(torch.randn(5, 9))
    write_checkpoint(tmp_path, {}, {"q": kernel.T[:3], "k": kernel.T[3:6], "same": kernel.T[:3]})
    assert torch.equal(load_file(tmp_path / "model.safetensors")["k"], kernel.detach().T[3:6])
    assert torch.equal(load_file(tmp_path / "model.safetensors")["same"], kernel.detach().T[:3])


def test_writing_again_replaces_both_files(folder):
    write_checkpoint(folder, {"model_type": "gpt2"}, {"c": torch.zeros(1)})
    config, tensors, _ = read_checkpoint(folder, ["bert", "gpt2"])
    assert config == {"model_type": "gpt2"} and list(tensors) == ["c"]
    assert sorted(path.name for path in folder.iterdir()) == ["config.json", "model.safetensors"]


def test_the_wrong_model_type_names_both(folder):
    with pytest.raises(FileError, match="model_type is 'bert'; this family reads 'gpt2'"):
        read_checkpoint(folder, "gpt2")


def test_shards(folder):
    (folder / "model.safetensors").unlink()
    for i, (name, tensor) in enumerate(TENSORS.items()):
        save_file({name: tensor}, folder / f"model-0000{i}-of-00002.safetensors")
    index = {name: f"model-0000{i}-of-00002.safetensors" for i, name in enumerate(TENSORS)}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": index}))
    assert torch.equal(read_checkpoint(folder)[1]["b.bias"], TENSORS["b.bias"])

    (folder / "model-00001-of-00002.safetensors").unlink()
    with pytest.raises(FileError, match=r"no model-00001-of-00002\.safetensors, which its index names"):
        read_checkpoint(folder)

    index["b.bias"] = index["a.weight"]
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": index}))
    with pytest.raises(FileError, match=r"not in their files: b\.bias"):
        read_checkpoint(folder)


@pytest.mark.parametrize("file", ["../secret.safetensors", "/etc/passwd"])
def test_an_index_may_not_point_outside_the_folder(folder, file):
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": file}}))
    with pytest.raises(FileError, match="a file of the same folder"):
        read_checkpoint(folder)


def test_a_missing_config(folder):
    (folder / "config.json").unlink()
    with pytest.raises(FileError, match=r"has no config\.json"):
        read_checkpoint(folder)


@pytest.mark.parametrize(("text", "message"), [("{broken", "is damaged"), ("[1, 2]", "must hold a JSON object")])
def test_a_damaged_config(folder, text, message):
    (folder / "config.json").write_text(text)
    with pytest.raises(FileError, match=rf"config\.json.*{message}"):
        read_checkpoint(folder)


@pytest.mark.parametrize("cut", [0, 7, 100])
def test_damaged_weights(folder, cut):
    whole = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(whole[:cut])
    with pytest.raises(FileError, match=r"model\.safetensors is damaged"):
        read_checkpoint(folder)


def test_no_weights_at_all(folder):
    (folder / "model.safetensors").unlink()
    with pytest.raises(FileError, match=r"neither model\.safetensors nor"):
        read_checkpoint(folder)


def test_a_pickle_is_refused_and_not_opened(folder):
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(UnsafeError, match="a pickle, which could run code"):
        read_checkpoint(folder)


@pytest.mark.parametrize("name", ["/nowhere/model", "./model", "a/b/c", "../up", "with space"])
def test_a_folder_that_is_not_there_is_not_looked_for_on_the_hub(name):
    with pytest.raises(FileError, match="There is no folder"):
        read_checkpoint(name)


def test_a_file_in_place_of_a_folder(folder):
    with pytest.raises(FileError, match="give the folder"):
        read_checkpoint(folder / "model.safetensors")
    with pytest.raises(ArgumentError, match="is a file"):
        write_checkpoint(folder / "config.json", {}, TENSORS)


def test_a_name_on_the_hub_is_downloaded_without_pickles(folder, monkeypatch):
    hub = pytest.importorskip("huggingface_hub")
    asked = []
    monkeypatch.setattr(
        hub, "snapshot_download", lambda name, allow_patterns: asked.append((name, allow_patterns)) or str(folder)
    )
    assert read_checkpoint("someone/some-model_1.5")[2] == folder
    ((name, patterns),) = asked
    assert name == "someone/some-model_1.5" and "model.safetensors" in patterns
    assert not any(pattern.endswith((".bin", ".pt", ".h5", "*")) and pattern != "vocab.*" for pattern in patterns)


def test_a_hub_that_fails_is_said_so(monkeypatch):
    hub = pytest.importorskip("huggingface_hub")

    def fails(name, allow_patterns):
        raise OSError("no route to host")

    monkeypatch.setattr(hub, "snapshot_download", fails)
    with pytest.raises(DownloadError, match=r"'bert-tiny', and it could not be had.*no route to host"):
        read_checkpoint("bert-tiny")


def test_without_the_package_the_mend_is_told(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "huggingface_hub", None)
    with pytest.raises(ArgumentError, match=r"pip install 'lamella\[language\]'"):
        read_checkpoint("bert-tiny")


def test_tensors_are_copied_all_or_none():
    places = {"a": torch.zeros(2), "b": torch.zeros(3, 2).T}
    with pytest.raises(FileError, match=r"Missing: b\. Not expected: c"):
        copy_tensors(places, {"a": torch.ones(2), "c": torch.ones(1)}, "folder")
    with pytest.raises(FileError, match=r"b has \(3, 2\) where the config asks for \(2, 3\)"):
        copy_tensors(places, {"a": torch.ones(2), "b": torch.ones(3, 2)}, "folder")
    assert not places["a"].any()
    new = torch.arange(6.0).reshape(2, 3)
    copy_tensors(places, {"a": torch.ones(2), "b": new.half(), "c.old": torch.ones(1)}, "folder", [r"c\..*"])
    assert torch.equal(places["b"], new) and places["a"].all()
