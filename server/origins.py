"""Refuses foreign web pages: any page in a browser on this machine can reach the server.

The local run has published keys and may dial private addresses, so a page that can use it can reach this machine's
network. A browser's `Origin` names the calling page and its `Host` the name it used for the server. Under a foreign
name, a page counts as this server's own (DNS rebinding).
"""

import json
import re
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from server.body import RefusalResponse

_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::\d{1,5})?")
_ORIGIN = re.compile(r"https?://(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::\d{1,5})?")
_HERE = frozenset({"localhost", "127.0.0.1", "[::1]"})
FOREIGN_ORIGIN = (
    "A page of another origin may not call this server. Pages of this machine may (localhost, 127.0.0.1 and "
    "[::1], on any port), and those of the origins in CORS_ORIGINS."
)
FOREIGN_HOST = (
    "This server does not answer under this host name. Call it as localhost, 127.0.0.1 or [::1], or set PUBLIC_URL "
    "to its address."
)


@dataclass(frozen=True)
class Origins:
    """Which pages may call besides this machine's own, and which host names they may use."""

    origins: frozenset[str] = frozenset()
    hosts: frozenset[str] = frozenset()

    @classmethod
    def read(cls, environment: Mapping[str, str]) -> Self:
        """CORS_ORIGINS, comma-separated, and PUBLIC_URL. Raises ValueError for an invalid origin."""
        listed = [entry.strip() for entry in environment.get("CORS_ORIGINS", "").split(",")]
        public = environment.get("PUBLIC_URL", "").strip()
        origins = {_origin(entry, "CORS_ORIGINS") for entry in listed if entry}
        if public:
            # A path, if any, is the API's own.
            origins.add(_origin("/".join(public.split("/")[:3]), "PUBLIC_URL"))
        return cls(frozenset(origins), frozenset(_host_of(origin, _ORIGIN) for origin in origins))

    def problem(self, origins: Sequence[str], hosts: Sequence[str]) -> str | None:
        """Why a request with these `Origin` and `Host` headers is refused, or None. Without an Origin it is not from a
        page: curl, an SDK, or an address typed or followed."""
        if not all(self.is_own_host(host) for host in hosts):
            return FOREIGN_HOST
        return None if all(self.is_own_origin(origin) for origin in origins) else FOREIGN_ORIGIN

    def is_own_origin(self, origin: str) -> bool:
        """Whether an origin's pages may call."""
        return _host_of(origin, _ORIGIN) in _HERE or _without_default_port(origin.lower()) in self.origins

    def is_own_host(self, host: str) -> bool:
        """Whether the server accepts this host name, on any port."""
        name = _host_of(host, _HOST)
        return name in _HERE or name in self.hosts


def _host_of(text: str, pattern: re.Pattern[str]) -> str:
    match = pattern.fullmatch(text.lower())
    return match.group(1) if match else ""


def _origin(text: str, variable: str) -> str:
    origin = text.lower().removesuffix("/")
    if not _ORIGIN.fullmatch(origin):
        raise ValueError(
            f"{variable} takes origins such as https://stt.example.com, with scheme and host and without a path."
        )
    return _without_default_port(origin)


def _without_default_port(origin: str) -> str:
    """Browsers omit it."""
    return origin.removesuffix(":443" if origin.startswith("https:") else ":80")


def refusal(message: str) -> bytes:
    """The body of the answer to a foreign page."""
    error = {"message": message, "type": "permission_error", "param": None, "code": None}
    return json.dumps({"error": error}).encode()


class OwnPagesOnly:
    """An ASGI application that no foreign page may call. CORS headers name the allowed page, and replace the
    application's own."""

    def __init__(self, app: ASGIApp, origins: Origins) -> None:
        self._app = app
        self._origins = origins

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        origins = headers.getlist("origin")
        problem = self._origins.problem(origins, headers.getlist("host"))
        if problem is not None:
            response = RefusalResponse(refusal(problem), status_code=403, media_type="application/json")
            response.headers["x-request-id"] = str(uuid.uuid4())
            response.headers["vary"] = "origin"
            await response(scope, receive, send)
            return

        async def send_to_own(message: Message) -> None:
            if message["type"] == "http.response.start":
                answer = MutableHeaders(scope=message)
                del answer["access-control-allow-origin"]
                if origins:
                    answer["access-control-allow-origin"] = origins[0]
                answer.add_vary_header("origin")
            await send(message)

        await self._app(scope, receive, send_to_own)
