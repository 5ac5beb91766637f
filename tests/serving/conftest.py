"""A real server on a free port, in a thread."""

import http.client
import json
import threading
import time
from contextlib import contextmanager

import pytest

pytest.importorskip("fastapi")
pytest.importorskip("prometheus_client")
uvicorn = pytest.importorskip("uvicorn")


class Client:
    """Talks to a server; a new connection for each request, so that one answer cannot touch the next."""

    def __init__(self, port):
        self.port = port

    def __call__(self, method, path, body=None, headers=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request(method, path, body, headers or {})
            response = connection.getresponse()
            content = response.read()
        finally:
            connection.close()
        if response.headers.get("content-type", "").startswith("application/json"):
            content = json.loads(content)
        return response.status, content, response.headers

    def predict(self, inputs):
        """Status and answer of JSON inputs."""
        return self("POST", "/predict", json.dumps({"inputs": inputs}), {"Content-Type": "application/json"})[:2]


@contextmanager
def running(app, port=0):
    server = uvicorn.Server(
        uvicorn.Config(app, port=port, log_level="error", lifespan="on", timeout_graceful_shutdown=5)
    )
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    end = time.monotonic() + 60
    while not server.started and thread.is_alive() and time.monotonic() < end:
        time.sleep(0.005)
    assert server.started
    try:
        yield Client(server.servers[0].sockets[0].getsockname()[1])
    finally:
        server.should_exit = True
        thread.join(20)
        assert not thread.is_alive()


@pytest.fixture(scope="session")
def serve():
    """`with serve(app, port=0) as client:`."""
    return running
