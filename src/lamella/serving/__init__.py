"""Models behind HTTP: `create_app` makes an ASGI application of one, `serve` runs it. Needs `lamella[serve]`."""

import importlib as _importlib
from typing import TYPE_CHECKING as _TYPE_CHECKING
from typing import Any as _Any

from lamella.serving.errors import RequestError
from lamella.serving.signature import ModelInput, ModelOutput, Signature, signature_of

if _TYPE_CHECKING:
    from lamella.serving.app import create_app
    from lamella.serving.server import Server, serve

__all__ = ["ModelInput", "ModelOutput", "RequestError", "Server", "Signature", "create_app", "serve", "signature_of"]

_OF_THE_EXTRA = {"Server": "server", "create_app": "app", "serve": "server"}
"""What needs FastAPI and uvicorn, and the file it is in. Read at first use: `from lamella import *` works without."""


def __getattr__(name: str) -> _Any:
    if name not in _OF_THE_EXTRA:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        room = _importlib.import_module(f"{__name__}.{_OF_THE_EXTRA[name]}")
    except ImportError as error:
        raise ImportError(
            f"Serving needs FastAPI, uvicorn and more ({error}): pip install 'lamella[serve]'."
        ) from error
    return getattr(room, name)
