"""A tab of Chromium, by its remote-debugging protocol."""

import json
import shutil
import subprocess
import time
import urllib.request
from contextlib import contextmanager

import pytest

CHROMIUM = shutil.which("chromium")
needed = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on the PATH")
COMPLAINTS = ("Runtime.exceptionThrown", "Log.entryAdded", "Runtime.consoleAPICalled")


class Tab:
    """It remembers complaints and requests."""

    def __init__(self, socket):
        self.socket, self.count, self.complaints, self.requests = socket, 0, [], []
        for domain in ("Runtime", "Log", "Page", "Network"):
            self.command(f"{domain}.enable")

    def command(self, method, **parameters):
        self.count += 1
        self.socket.send(json.dumps({"id": self.count, "method": method, "params": parameters}))
        while True:
            answer = json.loads(self.socket.recv(timeout=60))
            if answer.get("method") in COMPLAINTS:
                self.complaints.append(answer)
            if answer.get("method") == "Network.requestWillBeSent":
                self.requests.append(answer["params"]["request"]["url"])
            if answer.get("id") == self.count:
                return answer["result"]

    def __call__(self, expression):
        """The value of a JavaScript expression."""
        answer = self.command("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def open(self, address):
        """Goes to a page; `until` waits for it."""
        self.command("Page.navigate", url="about:blank")
        self.complaints.clear()
        self.requests.clear()
        self.command("Page.navigate", url=address)

    def until(self, expression, seconds=30):
        end = time.monotonic() + seconds
        while not self(expression):
            assert time.monotonic() < end, expression
            time.sleep(0.02)

    def press(self, key):
        for kind in ("keyDown", "keyUp"):
            self.command("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=9)


@contextmanager
def running(folder, *options):
    """A tab of a browser of its own, which keeps its files in the folder."""
    client = pytest.importorskip("websockets.sync.client")
    command = [CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu", "--remote-debugging-port=0"]
    command += [f"--user-data-dir={folder}", *options, "about:blank"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            told = folder / "DevToolsActivePort"
            end = time.monotonic() + 60
            while not (told.exists() and told.read_text().count("\n")):
                assert time.monotonic() < end
                time.sleep(0.05)
            port = told.read_text().split()[0]
            pages = json.load(urllib.request.urlopen(f"http://127.0.0.1:{port}/json", timeout=20))
            address = next(page["webSocketDebuggerUrl"] for page in pages if page["type"] == "page")
            with client.connect(address, max_size=None) as socket:
                yield Tab(socket)
        finally:
            process.kill()
