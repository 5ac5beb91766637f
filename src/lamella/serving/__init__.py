"""Models behind HTTP: `create_app` makes an ASGI application of one, `serve` runs it. Needs `lamella[serve]`."""

try:
    import fastapi as _fastapi  # noqa: F401
    import prometheus_client as _prometheus_client  # noqa: F401
    import uvicorn as _uvicorn  # noqa: F401
except ImportError as error:
    raise ImportError(f"Serving needs FastAPI, uvicorn and more ({error}): pip install 'lamella[serve]'.") from error

from lamella.serving.app import create_app
from lamella.serving.errors import RequestError
from lamella.serving.server import Server, serve
from lamella.serving.signature import ModelInput, ModelOutput, Signature, signature_of

__all__ = ["ModelInput", "ModelOutput", "RequestError", "Server", "Signature", "create_app", "serve", "signature_of"]
