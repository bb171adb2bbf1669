"""A small HTTP server for the operator: one request a connection, GET and HEAD, nothing that waits for its caller.

The protocol is parsed by the library `h11`, of the extra `[serve]`. Limits: the head of a request, how long a caller
may take in all, and how many there may be at once; who is too much is hung up on.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import trio

from parties.operation.library import need_library
from transport.errors import TransportError

HEAD_BYTES = 8192
CALLER_SECONDS = 5.0
CALLERS = 16
GET, HEAD = "GET", "HEAD"


@dataclass(frozen=True, slots=True)
class Response:
    """What is answered.

    Attributes:
        status: the HTTP status.
        content_type: of the body.
        body: all of it.
    """

    status: int
    content_type: str
    body: bytes


Respond = Callable[[str], Response | None]
"""The answer to a path; none: there is nothing."""


class HttpServer:
    """Answers what `respond` knows, at every stream that a listener accepts."""

    def __init__(self, respond: Respond) -> None:
        self._h11: Any = need_library("h11")
        self._respond = respond
        self._callers = 0

    async def serve(self, listener: trio.abc.Listener[trio.abc.Stream]) -> None:
        """Serve until cancelled; closes the listener."""
        await trio.serve_listeners(self._call, [listener])

    async def _call(self, stream: trio.abc.Stream) -> None:
        if self._callers >= CALLERS:
            await trio.aclose_forcefully(stream)
            return
        self._callers += 1
        try:
            with trio.move_on_after(CALLER_SECONDS):
                await self._answer(stream)
        except (trio.BrokenResourceError, trio.ClosedResourceError, TransportError):
            pass  # the caller has gone
        finally:
            self._callers -= 1
            await trio.aclose_forcefully(stream)

    async def _answer(self, stream: trio.abc.Stream) -> None:
        connection = self._h11.Connection(self._h11.SERVER, max_incomplete_event_size=HEAD_BYTES)
        try:
            request = await self._request(connection, stream)
            if isinstance(request, self._h11.ConnectionClosed):
                return
            response, method = self._response_to(request), request.method.decode()
        except self._h11.RemoteProtocolError as error:
            response, method = _plain(error.error_status_hint, "this is no request that is understood"), GET
        await stream.send_all(self._bytes_of(connection, response, method))

    async def _request(self, connection: Any, stream: trio.abc.Stream) -> Any:  # noqa: ANN401 - untyped library
        while True:
            event = connection.next_event()
            if event is not self._h11.NEED_DATA:
                return event
            connection.receive_data(await stream.receive_some(HEAD_BYTES))

    def _response_to(self, request: Any) -> Response:  # noqa: ANN401 - untyped library
        if request.method.decode() not in (GET, HEAD):
            return _plain(405, "GET and HEAD only")
        path = request.target.decode("ascii", "replace").partition("?")[0]
        try:
            return self._respond(path) or _plain(404, "nothing is here; try /metrics, /healthz or /readyz")
        except Exception as error:  # noqa: BLE001 - a bug in what is only told must not end the service
            return _plain(500, f"a bug of ours: {type(error).__name__}")

    def _bytes_of(self, connection: Any, response: Response, method: str) -> bytes:  # noqa: ANN401 - untyped library
        headers = [
            ("Content-Type", response.content_type),
            ("Content-Length", str(len(response.body))),
            ("Cache-Control", "no-store"),
            ("Connection", "close"),
        ]
        head = bytes(connection.send(self._h11.Response(status_code=response.status, headers=headers)))
        return head if method == HEAD else head + response.body


def _plain(status: int, text: str) -> Response:
    return Response(status, "text/plain; charset=utf-8", f"{text}\n".encode())
