"""`RemoteMonitor`: sends the metrics of each epoch to a server."""

from __future__ import annotations

import json
import urllib.error
import urllib.parse
import urllib.request
import warnings
from collections.abc import Mapping

from lamella.training.callbacks.base import Callback, Logs


class RemoteMonitor(Callback):
    """Sends the epoch and its metrics by HTTP POST; a server that does not answer only gives a warning.

    Args:
        root: The server.
        path: The path on it.
        field: The form field that holds the JSON; not used with `send_as_json`.
        headers: HTTP headers to send.
        send_as_json: Whether the body is the JSON itself rather than a form.

    Example:
        >>> RemoteMonitor("http://localhost:9000").path
        '/publish/epoch/end/'
    """

    first_only = True  # of several processes

    def __init__(
        self,
        root: str = "http://localhost:9000",
        path: str = "/publish/epoch/end/",
        field: str = "data",
        headers: Mapping[str, str] | None = None,
        send_as_json: bool = False,
    ) -> None:
        super().__init__()
        self.root = root
        self.path = path
        self.field = field
        self.headers = headers
        self.send_as_json = send_as_json

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        text = json.dumps({"epoch": epoch, **(logs or {})})
        kind = "application/json" if self.send_as_json else "application/x-www-form-urlencoded"
        body = text if self.send_as_json else urllib.parse.urlencode({self.field: text})
        request = urllib.request.Request(
            self.root + self.path, body.encode(), {"Content-Type": kind, **(self.headers or {})}, method="POST"
        )
        try:
            urllib.request.urlopen(request, timeout=10).close()
        except (urllib.error.URLError, OSError) as error:
            warnings.warn(f"RemoteMonitor: {self.root} cannot be reached: {error}", stacklevel=2)
