"""What a client is told when a request cannot be answered."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lamella.errors import LamellaError


class RequestError(LamellaError):
    """A request that gets no prediction.

    Args:
        status: The HTTP status: 4xx where the client can mend it, 5xx where the server cannot do it (now).
        kind: A word for programs, such as `"wrong_shape"`.
        message: For people: what was expected, what was found, the mend.
        where: The place in the request, such as `"inputs[0][3]"`.
        headers: HTTP headers that go with the answer.
    """

    def __init__(
        self,
        status: int,
        kind: str,
        message: str,
        where: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.kind = kind
        self.message = message
        self.where = where
        self.headers = dict(headers or {})

    def body(self) -> dict[str, Any]:
        """The answer's JSON.

        Example:
            >>> RequestError(422, "not_finite", "NaN is no input.", "inputs[0]").body()
            {'error': {'kind': 'not_finite', 'message': 'NaN is no input.', 'where': 'inputs[0]'}}
        """
        return {"error": {"kind": self.kind, "message": self.message, "where": self.where}}
