"""GET /metrics, for those who have its token."""

import asyncio
import hmac
from collections.abc import Callable

from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.errors import InvalidKey
from gateway.http import new_request_id
from server.metrics import CONTENT_TYPE
from server.refusals import response_of

PATH = "/metrics"


class MetricsRoute:
    """An ASGI application in front of another: answers GET /metrics, passes on the rest."""

    def __init__(self, app: ASGIApp, token: str, text: Callable[[], bytes]) -> None:
        self._app = app
        self._token = token.encode()
        self._text = text

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] != PATH or scope["method"] != "GET":
            await self._app(scope, receive, send)
            return
        if self._is_allowed(scope):
            # Workers' values are in files: reading them must not hold up requests.
            text = await asyncio.get_running_loop().run_in_executor(None, self._text)
            response = Response(text, headers={"content-type": CONTENT_TYPE, "cache-control": "no-store"})
        else:
            response = response_of(
                InvalidKey(
                    "The metrics need their token. Send it as 'Authorization: Bearer <METRICS_TOKEN>'."
                )
            )
        response.headers["x-request-id"] = new_request_id()
        await response(scope, receive, send)

    def _is_allowed(self, scope: Scope) -> bool:
        sent = next((value for name, value in scope["headers"] if name == b"authorization"), b"")
        scheme, _, token = sent.partition(b" ")
        return scheme.lower() == b"bearer" and hmac.compare_digest(token.strip(), self._token)
