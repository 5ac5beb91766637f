"""`lamella watch DIR...`: follows trainings live, in a browser."""

from __future__ import annotations

import errno
import os
import signal
import socket
import webbrowser
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lamella.errors import ArgumentError


@dataclass
class Use:
    """What `lamella watch` was asked for."""

    folders: Sequence[str] = ("runs",)
    host: str = "127.0.0.1"
    port: int = 6006
    open: bool = False


def watch(options: Any) -> None:
    """Serves the pages until SIGTERM or Ctrl+C.

    Raises:
        ImportError: FastAPI or uvicorn is not installed.
        ArgumentError: The port is taken.
    """
    try:
        import uvicorn

        from lamella.report.watch import create_app
    except ImportError as error:
        raise ImportError(f"it needs FastAPI and uvicorn ({error}): pip install 'lamella[serve]'.") from error

    class Server(uvicorn.Server):
        def handle_exit(self, sig: int, frame: Any) -> None:
            app.state.feed.close()  # else it would wait for pages that are open
            self.force_exit = self.should_exit and sig == signal.SIGINT
            self.should_exit = True

    local = options.host in ("127.0.0.1", "localhost")
    app = create_app(options.folders or ["runs"], hosts=("127.0.0.1", "localhost") if local else None)
    with _listener(options.host, options.port) as listener:
        host, port = listener.getsockname()[:2]
        address = f"http://{f'[{host}]' if ':' in host else host}:{port}"
        folders = ", ".join(options.folders or ["runs"])
        print(f"Watching {folders} at {address} (Ctrl+C stops)", flush=True)
        if hasattr(os, "nice"):
            os.nice(5)  # trainings on this machine come first
        if options.open:
            webbrowser.open(address)  # it waits until the server is up
        Server(uvicorn.Config(app, log_level="warning", access_log=False, server_header=False, ws="none")).run(
            [listener]
        )


def _listener(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        with socket.create_server((host, 0), family=family) as other:
            free = other.getsockname()[1]
        raise ArgumentError(
            f"port {port} is taken, perhaps by another `lamella watch` or TensorBoard: take another, --port {free}."
        ) from error
