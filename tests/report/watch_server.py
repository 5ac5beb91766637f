"""The server of `lamella watch` in a thread, a client of it, and run files to watch."""

import http.client
import json
import threading
import time
from contextlib import contextmanager

import uvicorn

from lamella.report import run_file
from lamella.report.watch import create_app


def begin(folder, **fields):
    run_file.append(folder, "begin", **{"epochs": 30, "started": "2026-11-21T20:15:00+00:00", **fields})


def epoch(folder, number, loss=0.5):
    run_file.append(folder, "epoch", epoch=number, logs={"loss": loss}, rate=0.1, seconds=1.0)


@contextmanager
def served(*folders, port=0, **options):
    app = create_app(folders, **{"language": "en", **options})
    server = uvicorn.Server(uvicorn.Config(app, port=port, log_level="warning", timeout_graceful_shutdown=1))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    until(lambda: server.started)
    try:
        yield Client(server.servers[0].sockets[0].getsockname()[1], app.state.feed)
    finally:
        server.should_exit = True
        app.state.feed.close()
        thread.join(10)
        assert not thread.is_alive()


def until(condition, seconds=20):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


class Client:
    def __init__(self, port, feed):
        self.port, self.feed = port, feed
        self.address = f"http://127.0.0.1:{port}"

    def get(self, path, method="GET", **headers):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request(method, path, headers=headers)
            answer = connection.getresponse()
            return answer.status, answer.read().decode(), answer.headers
        finally:
            connection.close()

    @contextmanager
    def events(self, query="", **headers):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        connection.request("GET", f"/events?{query}", headers=headers)
        stream = connection.getresponse()
        try:
            assert stream.status == 200, stream.status
            assert stream.headers["Content-Type"].startswith("text/event-stream")
            yield Events(stream)
        finally:
            stream.close()
            connection.close()


class Events:
    def __init__(self, stream):
        self.stream = stream

    def block(self):
        lines = []
        while (line := self.stream.readline().decode().rstrip("\n")) or not lines:
            lines.append(line)
        return lines

    def next(self):
        """The id and the view of the next event with a view; what comes between is left out."""
        while True:
            fields = dict(line.split(": ", 1) for line in self.block() if ": " in line)
            if "data" in fields:
                return fields["id"], json.loads(fields["data"])["view"]
