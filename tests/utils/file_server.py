"""A web server on this computer that can be told to misbehave."""

import http.server
import threading


class FileServer(http.server.ThreadingHTTPServer):
    """Serves `files` (name to bytes). `faults[name]` lists what goes wrong at the next requests, one each.

    Faults: `"cut"` sends half of what is left and hangs up; `"chunk cut"` the same in chunked encoding, without a
    length; `"no range"` sends the whole file whatever was asked for; `"mute"` hangs up without an answer; `"slow"`
    sends half, then waits; a number is an HTTP status.
    """

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files = {}
        self.faults = {}
        self.requests = []  # (name, the first byte asked for)
        self.go_on = threading.Event()
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def url(self, name):
        return f"http://127.0.0.1:{self.server_address[1]}/some/folder/{name}"

    def handle_error(self, request, client_address):
        """A client that hangs up is no error here."""


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def do_GET(self):
        name = self.path.partition("?")[0].rpartition("/")[2]
        asked = self.headers.get("Range")
        start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked else 0
        self.server.requests.append((name, start))
        waiting = self.server.faults.get(name)
        fault = waiting.pop(0) if waiting else None
        self.close_connection = True
        if fault == "mute":
            return
        if isinstance(fault, int) or name not in self.server.files:
            self.send_error(fault if fault else 404)
            return
        data = self.server.files[name]
        if fault == "no range":
            start = 0
        if start and start >= len(data):
            self.send_error(416)
            return
        self._send(data[start:], start, fault)

    def _send(self, body, start, fault):
        self.send_response(206 if start else 200)
        half = len(body) // 2
        if fault == "chunk cut":
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            self.wfile.write(b"%x\r\n" % len(body) + body[:half])
            return
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[:half])
        if fault == "cut":
            return
        if fault == "slow":
            self.wfile.flush()
            self.server.go_on.wait(20)
        self.wfile.write(body[half:])
