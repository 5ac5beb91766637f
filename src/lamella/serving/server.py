"""Runs an application of `create_app` by uvicorn, until it is told to stop."""

from __future__ import annotations

import gc
import signal
import socket
import sys
from types import FrameType

import uvicorn
from fastapi import FastAPI

_SWITCH_SECONDS = 0.0002


class Server(uvicorn.Server):
    """Stops on SIGTERM and SIGINT: no new connections, every request that was accepted is answered, then the end.

    A second SIGINT ends it at once. When it takes requests it prints where.
    """

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        host, port = self.servers[0].sockets[0].getsockname()[:2]
        name = f"[{host}]" if ":" in host else host
        print(f"Serving {self.config.app.title} at http://{name}:{port} (Ctrl+C stops)", flush=True)  # type: ignore[union-attr]

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self.config.app.state.service.draining = True  # type: ignore[union-attr]
        if self.should_exit and sig == signal.SIGINT:
            self.force_exit = True
        self.should_exit = True


def serve(app: FastAPI, host: str = "127.0.0.1", port: int = 8000) -> None:
    """Serves until SIGTERM or Ctrl+C.

    Args:
        app: What `create_app` gave.
        host: The address to listen at: `"127.0.0.1"` for this machine alone, `"0.0.0.0"` for all networks.
        port: The port; 0 for any free one. It is printed.

    Raises:
        OSError: The port is taken, or the address is not this machine's.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, port), family=family, backlog=2048) as listener:
        # The thread of the model needs Python's lock between two kernels, and the one of HTTP holds it most of the
        # time: by default for 5 ms, longer than a small model takes.
        sys.setswitchinterval(_SWITCH_SECONDS)
        gc.freeze()  # the model and all modules stay: no collection needs to look through them
        patience = app.state.service.batcher.timeout * 2 + 1
        config = uvicorn.Config(
            app,
            log_level="warning",
            access_log=False,
            server_header=False,
            ws="none",
            lifespan="on",
            timeout_graceful_shutdown=int(patience) + 1,
        )
        Server(config).run([listener])
