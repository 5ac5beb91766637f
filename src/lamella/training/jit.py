"""`compile(jit_compile=True)`: in its steps, calls of the model go through `torch.compile`."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from types import FunctionType
from typing import Any

import torch

from lamella.engine.kernels import default_matmul
from lamella.errors import ArgumentError
from lamella.layers.recurrent import RNN


def with_compiled_calls(model: Any, step: Callable[..., Any]) -> Callable[..., Any]:
    """The step, in which calls of the model, and of the models that it consists of, are compiled if it was asked to.

    A step of one's own calls what it likes: the model itself, or a generator and then a discriminator. Models with
    recurrent layers run as they are written: torch would compile each time step anew, a second or more for each.
    """
    if not model.jit_compile:
        return step
    if recurrent := next(_recurrent(model), None):
        warnings.warn(
            f"{type(model).__name__} {model.name!r} is not compiled: {type(recurrent).__name__} {recurrent.name!r} has "
            f"a kernel for all time steps, which torch.compile would take apart.",
            stacklevel=2,
        )
    models = [part for part in model.modules() if hasattr(part, "_jitted") and not any(_recurrent(part))]
    if not models:
        return step
    for each in models:
        each._jitted = each._jitted or _compiled(each)

    def run(*batch: Any) -> Any:
        before = [each._compiled_call_impl for each in models]
        try:
            for each in models:
                each._compiled_call_impl = each._jitted
            with default_matmul() if model.precision == "accurate" else nullcontext():
                return step(*batch)
        except torch._dynamo.exc.TorchDynamoException as error:
            raise _told(model, error) from error
        finally:
            for each, old in zip(models, before, strict=True):
                each._compiled_call_impl = old

    return run


def _recurrent(model: Any) -> Iterator[Any]:
    return (layer for layer in model.modules() if isinstance(layer, RNN))


def _told(model: Any, error: Exception) -> ArgumentError:
    reason = str(getattr(error, "inner_exception", error)).strip().splitlines()[0]
    compiler = "install one (Debian: apt install g++; macOS: xcode-select --install), or " * ("compiler" in reason)
    return ArgumentError(
        f"{type(model).__name__} {model.name!r}: compile(jit_compile=True) cannot be met here. torch says: {reason!r}. "
        f"To mend it, {compiler}let the model run as it is written: compile(..., jit_compile=False)."
    )


def _compiled(model: Any) -> Callable[..., Any]:
    """The model's calls by `torch.compile`, which share nothing with other models; the call that builds it as it is.

    torch keeps what it compiled with the code of the function that it was given, eight times at most; from then on it
    computes as written. All models have the same code, so it is copied.
    """

    def call(*args: Any, **kwargs: Any) -> Any:
        return model._call_impl(*args, **kwargs)

    own = torch.compile(FunctionType(call.__code__.replace(), call.__globals__, closure=call.__closure__))
    return lambda *args, **kwargs: (own if model.built else call)(*args, **kwargs)
