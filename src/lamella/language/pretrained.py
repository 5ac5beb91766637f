"""Folders as Hugging Face's `transformers` writes them: `config.json` and `model.safetensors`, never a pickle."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch

from lamella.errors import ArgumentError, DownloadError, FileError, UnsafeError
from lamella.saving.atomic import written_aside
from lamella.saving.reading import reading

WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"
_WANTED = (
    "config.json",
    WEIGHTS,
    INDEX,
    "model-*.safetensors",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "sentence_bert_config.json",
    "vocab.*",
    "merges.txt",
    "modules.json",
    "1_Pooling/config.json",
)

Checkpoint = tuple[dict[str, Any], dict[str, torch.Tensor], Path]


def read_checkpoint(path_or_hub_id: str | Path, model_types: str | Iterable[str] | None = None) -> Checkpoint:
    """What a folder holds: the config, the weights by name, and the folder itself (for the tokenizer).

    Args:
        path_or_hub_id: A folder; or the name of a model on the Hugging Face hub, as "google-bert/bert-base-uncased",
            which `huggingface_hub` downloads, or finds where it was downloaded before.
        model_types: The `model_type` that the config must have, one or several.

    Returns:
        The config; the tensors, on the CPU, in the data types of the file; the folder.

    Raises:
        FileError: No such folder, a file that is not in it or is damaged, or another `model_type`.
        UnsafeError: The weights are a pickle (`pytorch_model.bin`), which could run code.
        DownloadError: The hub cannot be reached, or has no such model.
        ArgumentError: A model of the hub is asked for without the package `huggingface_hub`.
    """
    folder = find_folder(path_or_hub_id)
    config = _json(folder / "config.json")
    wanted = [model_types] if isinstance(model_types, str) else list(model_types or [])
    if wanted and config.get("model_type") not in wanted:
        raise FileError(
            f"{folder / 'config.json'}: model_type is {config.get('model_type')!r}; this family reads "
            f"{' or '.join(map(repr, wanted))}. Load it with the family that it belongs to."
        )
    return config, _tensors(folder), folder


def find_folder(path_or_hub_id: str | Path) -> Path:
    """The folder itself, or that of the downloaded model.

    Raises:
        FileError: Neither a folder, nor what could be a name on the hub.
        DownloadError: The hub cannot be reached, or has no such model.
        ArgumentError: The package `huggingface_hub` is missing.
    """
    path = Path(path_or_hub_id)
    if path.is_dir():
        return path
    if path.exists():
        raise FileError(f"{path} is a file: give the folder that it is in, with its config.json.")
    name = str(path_or_hub_id)
    if isinstance(path_or_hub_id, Path) or not re.fullmatch(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?", name):
        raise FileError(f"There is no folder {name!r}.")
    try:
        from huggingface_hub import snapshot_download
    except ImportError as error:
        raise ArgumentError(
            f"There is no folder {name!r}; to look for it on the Hugging Face hub: pip install 'lamella[language]'"
        ) from error
    try:
        return Path(snapshot_download(name, allow_patterns=list(_WANTED)))
    except Exception as error:
        raise DownloadError(
            f"There is no folder {name!r}, and it could not be had from the Hugging Face hub: "
            f"{type(error).__name__}: {error}"
        ) from error


def write_checkpoint(folder: str | Path, config: Mapping[str, Any], tensors: Mapping[str, torch.Tensor]) -> None:
    """Writes `config.json` and `model.safetensors` into a folder, which is made if need be.

    Args:
        folder: The folder; files of these names in it are replaced.
        config: What `transformers` would write, `model_type` included.
        tensors: The weights by the names that `transformers` gives them.

    Raises:
        ArgumentError: The path is that of a file.

    Example:
        >>> import tempfile
        >>> folder = tempfile.mkdtemp()
        >>> write_checkpoint(folder, {"model_type": "bert"}, {"pooler.dense.bias": torch.ones(3)})
        >>> config, tensors, _ = read_checkpoint(folder, "bert")
        >>> config["model_type"], tensors["pooler.dense.bias"].tolist()
        ('bert', [1.0, 1.0, 1.0])
    """
    from safetensors.torch import save_file

    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise ArgumentError(f"{folder} is a file; give a folder to write config.json and {WEIGHTS} into.")
    folder.mkdir(parents=True, exist_ok=True)
    own = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    with written_aside(folder / WEIGHTS) as aside:
        save_file(own, aside, metadata={"format": "pt"})
    with written_aside(folder / "config.json") as aside:
        aside.write_text(json.dumps(dict(config), indent=2, sort_keys=True) + "\n", encoding="utf-8")


def copy_tensors(
    places: Mapping[str, torch.Tensor],
    tensors: Mapping[str, torch.Tensor],
    folder: str | Path,
    unused: Iterable[str] = (),
) -> None:
    """Copies the tensors of a checkpoint into a model's weights; all of them, or none on an error.

    Args:
        places: By the checkpoint's names, the model's weights, or views of them as the checkpoint has them: a kernel
            transposed, or the part of a fused kernel.
        tensors: What `read_checkpoint` gave.
        folder: Where they are from, for messages.
        unused: Regular expressions of whole names that the file may have though the model does not want them.

    Raises:
        FileError: Missing tensors, others that nobody expects, or other shapes; each is named.

    Example:
        >>> kernel = torch.zeros(2, 3)
        >>> copy_tensors({"dense.weight": kernel.T}, {"dense.weight": torch.ones(3, 2)}, "folder")
        >>> float(kernel.sum())
        6.0
    """
    missing = sorted(places.keys() - tensors.keys())
    extra = sorted(
        name for name in tensors.keys() - places.keys() if not any(re.fullmatch(pattern, name) for pattern in unused)
    )
    if missing or extra:
        raise FileError(
            f"{folder}: the weights do not fit the model. Missing: {_few(missing)}. Not expected: {_few(extra)}."
        )
    shapes = [
        f"{name} has {tuple(tensors[name].shape)} where the config asks for {tuple(place.shape)}"
        for name, place in places.items()
        if tensors[name].shape != place.shape
    ]
    if shapes:
        raise FileError(f"{folder}: weights of other shapes than config.json says: {_few(shapes)}.")
    with torch.no_grad():
        for name, place in places.items():
            place.copy_(tensors[name])


def _tensors(folder: Path) -> dict[str, torch.Tensor]:
    if (folder / WEIGHTS).exists():
        return _shard(folder / WEIGHTS)
    if (folder / INDEX).exists():
        places = _json(folder / INDEX).get("weight_map")
        if not isinstance(places, dict) or any(Path(str(file)).name != file for file in places.values()):
            raise FileError(f"{folder / INDEX}: `weight_map` must name a file of the same folder for each tensor.")
        tensors: dict[str, torch.Tensor] = {}
        for file in sorted(set(places.values())):
            tensors.update(_shard(folder / file))
        missing = sorted(places.keys() - tensors.keys())
        if missing:
            raise FileError(f"{folder}: {INDEX} names tensors that are not in their files: {_few(missing)}.")
        return tensors
    pickles = sorted(path.name for path in folder.glob("pytorch_model*.bin"))
    if pickles:
        raise UnsafeError(
            f"{folder} has its weights in {pickles[0]}, a pickle, which could run code. Get the model with "
            f"{WEIGHTS}, or convert it with a `transformers` that you trust: model.save_pretrained(folder)."
        )
    raise FileError(f"{folder} has neither {WEIGHTS} nor {INDEX}.")


def _shard(path: Path) -> dict[str, torch.Tensor]:
    from safetensors.torch import load_file

    if not path.exists():
        raise FileError(f"{path.parent} has no {path.name}, which its index names: the download is not complete.")
    with reading(path, "safetensors file"):
        return load_file(path)


def _json(path: Path) -> dict[str, Any]:
    if not path.exists():
        raise FileError(f"{path.parent} has no {path.name}: it is no folder of a model in Hugging Face's form.")
    with reading(path, "JSON file"):
        found = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(found, dict):
        raise FileError(f"{path} must hold a JSON object; it holds {type(found).__name__}.")
    return found


def _few(names: list[str]) -> str:
    shown = ", ".join(names[:6]) or "nothing"
    return shown if len(names) <= 6 else f"{shown} and {len(names) - 6} more"
