"""What stands before the app: requests of this machine's own pages alone reach it, and its pages
reach nothing else.

Streamlit judges only the handshake of its socket, and by looking up this machine's address in the
internet; it serves everything else to whatever name points here.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

# the names by which a browser may call the app: another site's name, pointed here, is refused
HOST = re.compile(r"(127\.0\.0\.1|localhost)(:\d{1,5})?")
# scripts, pictures, fonts and connections of this server alone, whatever a page is made to show;
# charts evaluate their expressions, and the editor writes its styles. Streamlit's one script within
# its page speaks to search engines, and is left out
POLICY = (
    "default-src 'self'",
    "script-src 'self' 'unsafe-eval'",
    "style-src 'self' 'unsafe-inline'",
    "img-src 'self' data: blob:",
    "font-src 'self' data:",
    "media-src 'self' data: blob:",
    "connect-src 'self' {socket}",
    "worker-src 'self' blob:",
    "frame-src 'none'",
    "object-src 'none'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",  # another site's page may not lay its own over this one
)
HEADERS = (
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-dns-prefetch-control", b"off"),
    (b"x-frame-options", b"DENY"),
)


class Guard:
    """Middleware (ASGI). A foreign Host or Origin is answered with 403."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        host = host_of(scope["headers"])
        if host is None:
            await _refuse(scope, receive, send)
            return
        policy = "; ".join(POLICY).format(socket=f"ws://{host}").encode()

        async def sealed(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = [*message.get("headers", ()), *HEADERS]
                message = {**message, "headers": [*headers, (b"content-security-policy", policy)]}
            await send(message)

        await self._app(scope, receive, sealed)


def host_of(headers: list[tuple[bytes, bytes]]) -> str | None:
    """The Host of a request that may be served, else None. An Origin must be this very server:
    another port of this machine is another site. Programs send none."""
    hosts = [value.decode("latin-1").lower() for name, value in headers if name == b"host"]
    origins = [value.decode("latin-1").lower() for name, value in headers if name == b"origin"]
    if len(hosts) != 1 or not HOST.fullmatch(hosts[0]):
        return None
    return hosts[0] if all(origin == f"http://{hosts[0]}" for origin in origins) else None


async def _refuse(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.close", "code": 1008})
        return
    from starlette.responses import PlainTextResponse

    await PlainTextResponse("not from here", 403)(scope, receive, send)
