"""BERT and DistilBERT as `transformers` writes them: the names of weights and of settings, both ways."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

from lamella.errors import ArgumentError, FileError
from lamella.language.tokenization import Tokenizer
from lamella.layers import Dense, LayerNormalization

MODEL_TYPES = ("bert", "distilbert")

HEADS = (r"embeddings\.position_ids", r"cls\..*", r"classifier\..*", r"qa_outputs\..*", r"vocab_\w+\..*", r"pre_.*")
"""Tensors that an encoder alone does not want: counters of older files, and the heads of tasks."""

TIED = (r"embeddings\.position_ids", r"cls\.(seq_relationship|predictions\.decoder)\..*", r"vocab_projector\.weight")
"""Tensors that a model with a head does not want: counters, the task of next sentences, copies of the table."""

_ACTIVATIONS = {
    "gelu": "gelu",
    "gelu_new": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
    "relu": "relu",
    "silu": "silu",
}

# The settings of `BERT` by the keys of config.json, where they are plain numbers.
_KEYS = {
    "bert": {
        "vocabulary_size": "vocab_size",
        "max_length": "max_position_embeddings",
        "num_layers": "num_hidden_layers",
        "num_heads": "num_attention_heads",
        "width": "hidden_size",
        "feedforward_units": "intermediate_size",
        "num_segments": "type_vocab_size",
        "dropout": "hidden_dropout_prob",
        "attention_dropout": "attention_probs_dropout_prob",
        "epsilon": "layer_norm_eps",
        "pad_id": "pad_token_id",
        "activation": "hidden_act",
    },
    "distilbert": {
        "vocabulary_size": "vocab_size",
        "max_length": "max_position_embeddings",
        "num_layers": "n_layers",
        "num_heads": "n_heads",
        "width": "dim",
        "feedforward_units": "hidden_dim",
        "dropout": "dropout",
        "attention_dropout": "attention_dropout",
        "pad_id": "pad_token_id",
        "activation": "activation",
    },
}

# What config.json leaves out where it is BERT's usual.
_USUAL = {"num_segments": 2, "dropout": 0.1, "attention_dropout": 0.1, "epsilon": 1e-12, "pad_id": 0}

_PARTS = {
    "bert": (
        "encoder.layer.{}.",
        ("attention.self.query", "attention.self.key", "attention.self.value"),
        "attention.output.dense",
        "attention.output.LayerNorm",
        "intermediate.dense",
        "output.dense",
        "output.LayerNorm",
    ),
    "distilbert": (
        "transformer.layer.{}.",
        ("attention.q_lin", "attention.k_lin", "attention.v_lin"),
        "attention.out_lin",
        "sa_layer_norm",
        "ffn.lin1",
        "ffn.lin2",
        "output_layer_norm",
    ),
}


def model_type(encoder: Any) -> str:
    """What `transformers` calls such an encoder."""
    return "bert" if encoder.num_segments else "distilbert"


def encoder_places(encoder: Any) -> dict[str, torch.Tensor]:
    """The weights of an encoder by their names in a checkpoint, as views in the form that they have there."""
    places = {
        "embeddings.word_embeddings.weight": encoder.token_embedding.embeddings.detach(),
        "embeddings.position_embeddings.weight": encoder.position_embedding.embeddings.detach(),
        **norm("embeddings.LayerNorm", encoder.embedding_norm),
    }
    if encoder.segment_embedding is not None:
        places["embeddings.token_type_embeddings.weight"] = encoder.segment_embedding.embeddings.detach()
    block_name, attention, merge, attention_norm, dense_in, dense_out, last_norm = _PARTS[model_type(encoder)]
    for i, block in enumerate(encoder.blocks):
        before = block_name.format(i)
        fused = block.attention.query_key_value
        kernels, biases = fused.kernel.detach().T.chunk(3), fused.bias.detach().chunk(3)
        for name, kernel, bias in zip(attention, kernels, biases, strict=True):
            places |= {f"{before}{name}.weight": kernel, f"{before}{name}.bias": bias}
        places |= dense(before + merge, block.attention.merge)
        places |= norm(before + attention_norm, block.attention_norm)
        places |= dense(before + dense_in, block.feedforward_in)
        places |= dense(before + dense_out, block.feedforward_out)
        places |= norm(before + last_norm, block.feedforward_norm)
    if encoder.pooler is not None:
        places |= dense("pooler.dense", encoder.pooler)
    return places


def dense(name: str, layer: Dense) -> dict[str, torch.Tensor]:
    """A dense layer's weights as torch's Linear has them."""
    assert layer.bias is not None
    return {f"{name}.weight": layer.kernel.detach().T, f"{name}.bias": layer.bias.detach()}


def norm(name: str, layer: LayerNormalization) -> dict[str, torch.Tensor]:
    """A normalization's weights as torch's LayerNorm has them."""
    assert layer.gamma is not None
    assert layer.beta is not None
    return {f"{name}.weight": layer.gamma.detach(), f"{name}.bias": layer.beta.detach()}


def without_prefix(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Names of a model with a head, and of the first published files, as the encoder alone has them."""
    renamed = {}
    for name, tensor in tensors.items():
        name = re.sub(r"^(bert|distilbert)\.", "", name)
        name = re.sub(r"LayerNorm\.gamma$", "LayerNorm.weight", name)
        renamed[re.sub(r"LayerNorm\.beta$", "LayerNorm.bias", name)] = tensor
    return renamed


def encoder_options(config: Mapping[str, Any], tensors: Mapping[str, torch.Tensor], folder: Path) -> dict[str, Any]:
    """The arguments of `BERT` that a config.json stands for.

    Raises:
        FileError: A setting that is missing, or that this encoder does not have.
    """
    kind = config["model_type"]
    position = config.get("position_embedding_type", "absolute")
    if position != "absolute" or config.get("is_decoder"):
        raise FileError(f"{folder}: {position} positions or a decoder (is_decoder) are not what BERT has here.")
    options = {}
    for name, key in _KEYS[kind].items():
        if key not in config and name not in _USUAL and name != "activation":
            raise FileError(f"{folder / 'config.json'} lacks {key!r}.")
        options[name] = config.get(key, _USUAL.get(name, "gelu"))
    if options["activation"] not in _ACTIVATIONS:
        raise FileError(f"{folder}: the activation {options['activation']!r} is none of {sorted(_ACTIVATIONS)}.")
    options["activation"] = _ACTIVATIONS[options["activation"]]
    if kind == "distilbert":
        options["num_segments"] = 0
    return {**options, "pooler": "pooler.dense.weight" in tensors}


def config_of(encoder: Any, architecture: str, **more: Any) -> dict[str, Any]:
    """The config.json of an encoder, or of a model with one, of a class of `transformers`.

    Raises:
        ArgumentError: An activation that `transformers` has no name for.
    """
    kind = model_type(encoder)
    if encoder.activation not in _ACTIVATIONS.values():
        raise ArgumentError(f"The activation must be one of {sorted(set(_ACTIVATIONS.values()))} to be written there.")
    config = {key: getattr(encoder, name) for name, key in _KEYS[kind].items()}
    key = _KEYS[kind]["activation"]
    config[key] = next(theirs for theirs, ours in _ACTIVATIONS.items() if ours == encoder.activation)
    if kind == "distilbert" and encoder.epsilon != 1e-12:
        raise ArgumentError(f"A DistilBERT in `transformers` has an epsilon of 1e-12, not {encoder.epsilon}.")
    return {"model_type": kind, "architectures": [architecture], "dtype": "float32", **config, **more}


def tokenizer_in(folder: Path) -> Tokenizer | None:
    """The tokenizer of a folder, if it has one that can be read here."""
    if not any((folder / name).exists() for name in ("tokenizer.json", "vocab.txt")) or find_spec("tokenizers") is None:
        return None
    return Tokenizer.from_pretrained(folder)


def write_tokenizer(encoder: Any, folder: str | Path) -> None:
    """Writes the tokenizer, if there is one, beside the model."""
    tokenizer = encoder.tokenizer
    if tokenizer is None:
        return
    tokenizer.save(Path(folder) / "tokenizer.json")
    keys = {"pad": "pad_token", "unknown": "unk_token", "start": "cls_token", "end": "sep_token", "mask": "mask_token"}
    names = {keys[role]: token for role, token in tokenizer.special_tokens.items()}
    said = {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": encoder.max_length, **names}
    (Path(folder) / "tokenizer_config.json").write_text(json.dumps(said, indent=2) + "\n", encoding="utf-8")
