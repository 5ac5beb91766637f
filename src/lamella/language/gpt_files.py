"""GPT-2 in the files of Hugging Face's `transformers`: which of its names is which weight of ours."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from lamella.errors import ArgumentError, FileError
from lamella.language.pretrained import copy_tensors, read_checkpoint, write_checkpoint
from lamella.language.tokenization import Tokenizer

if TYPE_CHECKING:
    from lamella.language.gpt import GPT

_ACTIVATIONS = {
    "gelu_new": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
    "gelu_fast": "gelu_tanh",
    "gelu": "gelu",
    "relu": "relu",
    "silu": "silu",
    "swish": "silu",
    "tanh": "tanh",
}
_UNUSED = (r"(transformer\.)?h\.\d+\.attn\.(masked_)?bias",)  # masks that older versions wrote
_VARIANTS = {"scale_attn_by_inverse_layer_idx": False, "add_cross_attention": False, "scale_attn_weights": True}


def read(family: type[GPT], path_or_id: str | Path) -> GPT:
    """The model that is in a folder, or has this name on the hub."""
    config, tensors, folder = read_checkpoint(path_or_id, "gpt2")
    for name, usual in _VARIANTS.items():
        if config.get(name, usual) != usual:
            raise FileError(f"{folder}: a GPT-2 with {name}={config[name]} is a variant that GPT does not have.")
    activation = config.get("activation_function", "gelu_new")
    if activation not in _ACTIVATIONS:
        raise FileError(f"{folder}: unknown activation_function {activation!r}; known: {', '.join(_ACTIVATIONS)}.")
    has_vocabulary = any((folder / name).exists() for name in ("tokenizer.json", "vocab.json"))
    model = family(
        config["vocab_size"],
        config["n_positions"],
        config["n_layer"],
        config["n_head"],
        config["n_embd"],
        dropout=config.get("resid_pdrop", 0.1),
        tied_embeddings=config.get("tie_word_embeddings", True),
        tokenizer=Tokenizer.from_pretrained(folder) if has_vocabulary else None,
        activation=_ACTIVATIONS[activation],
        feedforward_units=config.get("n_inner"),
        epsilon=config.get("layer_norm_epsilon", 1e-5),
    )
    prefix = "transformer." if "transformer.wte.weight" in tensors else ""
    unused = (*_UNUSED, r"lm_head\.weight") if model.tied_embeddings else _UNUSED
    copy_tensors(_places(model, prefix), tensors, folder, unused)
    return model


def write(model: GPT, folder: str | Path) -> None:
    """Writes config.json, model.safetensors and, if there is a tokenizer, tokenizer.json."""
    names = [name for name, own in _ACTIVATIONS.items() if own == model.activation]
    if not names:
        raise ArgumentError(f"GPT.save_pretrained: GPT-2's form has no name for activation={model.activation!r}.")
    tokenizer = model.tokenizer
    config: dict[str, Any] = {
        "model_type": "gpt2",
        "architectures": ["GPT2LMHeadModel"],
        "vocab_size": model.vocabulary_size,
        "n_positions": model.context_length,
        "n_layer": model.num_layers,
        "n_head": model.num_heads,
        "n_embd": model.width,
        "n_inner": model.feedforward_units,
        "activation_function": names[0],
        "layer_norm_epsilon": model.epsilon,
        "resid_pdrop": model.dropout,
        "embd_pdrop": model.dropout,
        "attn_pdrop": model.dropout,
        "tie_word_embeddings": model.tied_embeddings,
        "bos_token_id": None if tokenizer is None else tokenizer.start_id,
        "eos_token_id": None if tokenizer is None else tokenizer.end_id,
        "pad_token_id": model.padding_token,
    }
    write_checkpoint(folder, config, _places(model, "transformer."))
    if tokenizer is not None:
        tokenizer.save(Path(folder) / "tokenizer.json")


def _places(model: GPT, prefix: str) -> dict[str, torch.Tensor]:
    """The weights by GPT-2's names. Its `Conv1D` has kernels (in, out) as ours, so only the output is transposed."""
    own: dict[str, Any] = {
        "wte.weight": model.token_embedding.embeddings,
        "wpe.weight": model.position_embedding.embeddings,
        "ln_f.weight": model.final_norm.gamma,
        "ln_f.bias": model.final_norm.beta,
    }
    for i, block in enumerate(model.blocks):
        norms = {"ln_1": block.attention_norm, "ln_2": block.feedforward_norm}
        denses = {
            "attn.c_attn": block.attention.query_key_value,
            "attn.c_proj": block.attention.merge,
            "mlp.c_fc": block.feedforward_in,
            "mlp.c_proj": block.feedforward_out,
        }
        for name, norm in norms.items():
            own |= {f"h.{i}.{name}.weight": norm.gamma, f"h.{i}.{name}.bias": norm.beta}
        for name, dense in denses.items():
            own |= {f"h.{i}.{name}.weight": dense.kernel, f"h.{i}.{name}.bias": dense.bias}
    places = {prefix + name: weight for name, weight in own.items()}
    if not model.tied_embeddings:
        places["lm_head.weight"] = model.token_embedding.reverse_embeddings.T
    return places
