"""Runs the model on requests that were joined, and gives each its own part of the outputs."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch.utils import _pytree as pytree

from lamella.errors import LamellaError
from lamella.serving.errors import RequestError
from lamella.serving.signature import Signature
from lamella.serving.texts import text_reader
from lamella.serving.values import Values

log = logging.getLogger("lamella.serving")


class Runner:
    """Runs a model on the values of requests. One thread at a time may be in it.

    Args:
        model: The model.
        signature: What it takes and gives.
        max_batch: The most samples that the model sees at once.
    """

    def __init__(self, model: Any, signature: Signature, max_batch: int) -> None:
        self.model = model
        self.signature = signature
        self.max_batch = max_batch
        self._read = text_reader(model)
        first = next(model.parameters(), None)
        self._device = torch.device("cpu") if first is None else first.device

    def __call__(self, requests: Sequence[Values]) -> list[dict[str, Any] | RequestError]:
        """The answer to each request, or why it has none. Requests must be of one key.

        Where the model refuses the joined batch, each request is run alone, so that it harms none but itself.
        """
        try:
            outputs = self._outputs(_joined([request.columns for request in requests]))
        except Exception as error:
            if len(requests) > 1:
                return [answer for request in requests for answer in self([request])]
            return [_refusal(error)]
        ends = np.cumsum([request.samples for request in requests])
        finite = all(bool(torch.isfinite(output).all()) for output in outputs)
        rows = [output.tolist() for output in outputs]
        classes = self._classes(outputs[0])
        return [
            self._answer(outputs, rows, classes, slice(int(end) - request.samples, int(end)), finite)
            for request, end in zip(requests, ends, strict=True)
        ]

    def warm_up(self) -> None:
        """Runs the model on one sample and on a full batch of zeros, so that the first request finds it warm.

        A model whose sizes are not known is left cold.
        """
        inputs = self.signature.inputs
        if any(None in each.shape for each in inputs):
            return
        for samples in {1, self.max_batch}:
            self._outputs(
                [
                    ["a"] * samples
                    if each.kind == "text"
                    else np.zeros((samples, *each.shape), "float32" if each.dtype == "bfloat16" else each.dtype)
                    for each in inputs
                ]
            )

    @torch.inference_mode()
    def _outputs(self, columns: list[Any]) -> list[torch.Tensor]:
        """Every output for all samples, on the CPU."""
        total = len(columns[0])
        parts = []
        for start in range(0, total, self.max_batch):  # only a single request can have more samples than a batch
            found = self.model(self._inputs([column[start : start + self.max_batch] for column in columns]))
            parts.append([output.float().cpu() for output in pytree.tree_leaves(found)])
        return parts[0] if len(parts) == 1 else [torch.cat(each) for each in zip(*parts, strict=True)]

    def _inputs(self, columns: list[Any]) -> Any:
        given = self._read(columns[0]) if self._read is not None else [_array(each) for each in columns]
        given = pytree.tree_map_only(torch.Tensor, lambda tensor: tensor.to(self._device), given)
        return given[0] if isinstance(given, list) and len(given) == 1 else given

    def _classes(self, output: torch.Tensor) -> list[str] | None:
        names = self.signature.class_names
        if names is None:
            return None
        if output.shape[-1] == len(names):
            numbers = output.argmax(-1)
        else:  # one number tells two classes apart
            numbers = (output[..., 0] > (0.0 if self.signature.outputs[0].scores == "logits" else 0.5)).long()
        return pytree.tree_map(lambda number: names[number], numbers.tolist())

    def _answer(
        self, outputs: list[torch.Tensor], rows: list[Any], classes: list[str] | None, own: slice, finite: bool
    ) -> dict[str, Any] | RequestError:
        if not finite and not all(bool(torch.isfinite(output[own]).all()) for output in outputs):
            return RequestError(
                422,
                "not_finite",
                "The model's output for these inputs is not finite: expected inputs of the size that it was trained "
                "on; found far larger ones, or weights that are not finite. Scale the data as in training.",
                "inputs",
            )
        named = {output.name: each[own] for output, each in zip(self.signature.outputs, rows, strict=True)}
        answer: dict[str, Any] = {"outputs": named if len(named) > 1 else rows[0][own]}
        if classes is not None:
            answer["classes"] = classes[own]
        return answer


def _array(column: np.ndarray | list[str]) -> torch.Tensor | np.ndarray:
    """A column as the model takes it: texts in an array of strings."""
    return np.array(column, dtype=object) if isinstance(column, list) else torch.from_numpy(column)


def _joined(requests: list[list[Any]]) -> list[Any]:
    if len(requests) == 1:
        return requests[0]
    return [
        np.concatenate(parts) if isinstance(parts[0], np.ndarray) else [text for texts in parts for text in texts]
        for parts in zip(*requests, strict=True)
    ]


def _refusal(error: Exception) -> RequestError:
    """The right shapes went in, so what a layer or a kernel complains of are the values or sizes of the request."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return RequestError(
            503, "out_of_memory", "There is not enough memory for this request. Send fewer or smaller samples."
        )
    if isinstance(error, (LamellaError, IndexError, ValueError, RuntimeError)):
        return RequestError(
            422,
            "refused_by_model",
            f"The model cannot take these inputs: {str(error)[:500]} Compare them with GET /schema.",
            "inputs",
        )
    log.error("A request failed", exc_info=error)
    return RequestError(500, "internal", "The model failed on this request; the server's log says why.")
