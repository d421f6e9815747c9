"""The page's files over HTTP, and its websocket: what is answered to whom.

Everything is refused with 403 without the token, and from a browser that has come by another name
than this machine's (access.py).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from monitor.web import libraries
from monitor.web.access import Access

FOLDER = Path(__file__).parent / "page"
OURS = {name: FOLDER / name for name in ("page.js", "page.css", "screen.js")}
TYPES = {".js": "text/javascript", ".css": "text/css"}
#: Only what comes from here is run or shown; xterm.js writes styles into its elements.
HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' blob: data:; "
    "style-src 'self' 'unsafe-inline'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
MOST_VISITORS = 16
LONGEST = 1 << 16  # bytes of a message

Serve = Callable[[web.WebSocketResponse], Awaitable[None]]


class Site:
    """Of one page; `serve` has the conversation with a browser."""

    def __init__(self, access: Access, token: str, title: str, serve: Serve) -> None:
        self._access = access
        self._token = token
        self._title = title
        self._serve = serve
        self._visitors = 0

    def application(self) -> web.Application:
        """For aiohttp."""
        application = web.Application(middlewares=[self._guard()], client_max_size=LONGEST)
        application.router.add_get("/", self._page)
        application.router.add_get("/socket", self._socket)
        application.router.add_get("/{name}", self._file)
        return application

    def _guard(self) -> Middleware:
        @web.middleware
        async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
            if not self._access.host(request.headers.get("Host")):
                return web.Response(status=403, text="not by this name: use 127.0.0.1\n")
            if not self._access.token(request.query.get("token", "")):
                return web.Response(status=403, text="wrong token: use the address as printed\n")
            return await handler(request)

        return guard

    async def _page(self, _request: web.Request) -> web.StreamResponse:
        text = (FOLDER / "index.html").read_text(encoding="utf-8")
        terminal = "" if libraries.xterm() else libraries.MISSING
        text = text.replace("{token}", self._token).replace("{no-terminal}", terminal)
        text = text.replace("{title}", _escaped(self._title))
        return web.Response(text=text, content_type="text/html", headers=HEADERS)

    async def _file(self, request: web.Request) -> web.StreamResponse:
        name = request.match_info["name"]
        path = (OURS | libraries.xterm()).get(name)
        if path is None:
            return web.Response(status=404, text="there is no such file\n")
        kind = TYPES[path.suffix]
        return web.Response(body=path.read_bytes(), content_type=kind, headers=HEADERS)

    async def _socket(self, request: web.Request) -> web.StreamResponse:
        origin, host = (request.headers.get(name) for name in ("Origin", "Host"))
        if not self._access.origin(origin, host):
            return web.Response(status=403, text="only the page itself may ask\n")
        if self._visitors >= MOST_VISITORS:
            return web.Response(status=503, text=f"{MOST_VISITORS} browsers are here already\n")
        self._visitors += 1
        try:
            socket = web.WebSocketResponse(max_msg_size=LONGEST, compress=False)
            await socket.prepare(request)
            await self._serve(socket)
            return socket
        finally:
            self._visitors -= 1


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace('"', "&quot;")
