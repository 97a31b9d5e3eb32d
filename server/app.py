"""The HTTP front: route, key, place, body, route function, answer, in API Gateway's order and wording."""

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from gateway import deadline, http
from gateway.accounts.authorization import bearer_key
from gateway.accounts.keys import Caller
from gateway.errors import GatewayError, InternalError, InvalidKey
from gateway.http import Event, Route
from server import preflight, refusals
from server.access_log import Line
from server.body import (
    BodyStalled,
    BodyTooLarge,
    ClientGone,
    RefusalResponse,
    declared_length,
    read_body,
)
from server.event import event_of
from server.places import NoPlace, Places
from server.routes import Resource, Resources
from server.threads import Threads

logger = logging.getLogger(__name__)

# 25 MB of audio plus the form around it.
MAX_AUDIO_BYTES = 26_214_400 + 512 * 1024
# API Gateway's own limit; only audio has a reason to be larger.
MAX_OTHER_BYTES = 10 * 1024 * 1024
# Calls in progress, per kind of route; more are asked to retry later. Calls of one kind cannot keep out another kind.
# Calls with audio wait for providers, so there may be many: each costs a thread, and the memory of its body, which has
# a limit of its own.
MAX_AUDIO_CALLS = 256
MAX_AUDIO_BYTES_IN_PROGRESS = 2 * 1024**3
MAX_OTHER_CALLS = 64
MAX_CALLS_WITHOUT_KEY = 64
AUDIO_PATHS = frozenset({"/v1/audio/transcriptions", "/v1/audio/translations", "/v1/uploads/{id}/parts"})
HEALTH = "/healthz"
# What nginx logs for a client that closed its connection before the answer. It is never sent.
CLIENT_GONE = 499

Identify = Callable[[str], Caller | None]


@dataclass(frozen=True, slots=True)
class Front:
    """What serves requests. `identify` finds the caller of a key; it must not wait for another machine."""

    identify: Identify
    budget_seconds: float
    # Why the server does not take requests now, or None.
    refusing: Callable[[], GatewayError | None] = lambda: None
    is_ready: Callable[[], bool] = lambda: True
    log: Callable[[Line], None] = lambda _: None
    resources: Resources = field(default_factory=Resources)
    threads: Threads = field(default_factory=lambda: Threads("route"))
    audio: Places = field(default_factory=lambda: Places(MAX_AUDIO_CALLS))
    audio_bytes: Places = field(default_factory=lambda: Places(MAX_AUDIO_BYTES_IN_PROGRESS))
    other: Places = field(default_factory=lambda: Places(MAX_OTHER_CALLS))
    without_key: Places = field(default_factory=lambda: Places(MAX_CALLS_WITHOUT_KEY))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one request, as an ASGI application."""
        call = _Call(self, scope, receive)
        try:
            response = await call.answered()
        except ClientGone:
            self.log(call.line(CLIENT_GONE, 0))
            return
        try:
            await response(scope, receive, send)
        finally:
            self.log(call.line(response.status_code, len(response.body)))


class _Call:
    """One request."""

    def __init__(self, front: Front, scope: Scope, receive: Receive) -> None:
        self._front = front
        self._scope = scope
        self._receive = receive
        self._began = time.monotonic()
        self._path: str = scope["raw_path"].decode("ascii")
        self._resource: Resource | None = None
        self._request_id = ""
        self._user_id: str | None = None
        self._received = 0

    async def answered(self) -> Response:
        """The answer, whatever happens. Raises ClientGone."""
        try:
            response = await self._answer()
        except GatewayError as error:
            response = refusals.response_of(error)
        except ClientGone:
            raise
        except asyncio.CancelledError:  # it outlasted the time that the end of the server gives
            response = refusals.response_of(refusals.draining(), Response)
        except Exception as error:
            logger.error("a request failed in the front: %s", type(error).__name__)
            response = refusals.response_of(InternalError(), Response)
        # A route function's request has an id already, which its usage record carries too.
        self._request_id = response.headers.setdefault(
            "x-request-id", self._request_id or http.new_request_id()
        )
        return response

    def line(self, status: int, sent: int) -> Line:
        """What the access log says about it."""
        return Line(
            at=time.time(),
            request_id=self._request_id or http.new_request_id(),
            method=self._scope["method"],
            route=self._resource.path if self._resource else None,
            status=status,
            milliseconds=(time.monotonic() - self._began) * 1000,
            user_id=self._user_id,
            received=self._received,
            sent=sent,
        )

    async def _answer(self) -> Response:
        """Raises GatewayError, ClientGone."""
        method = self._scope["method"]
        resource = self._resource = self._front.resources.find(self._path)
        if resource is not None and resource.path == HEALTH and not self._front.is_ready():
            return JSONResponse({"status": "starting"}, status_code=503)
        refusing = self._front.refusing()
        if refusing is not None:
            raise refusing
        if resource is not None and method == "OPTIONS":
            return Response(status_code=200, headers=preflight.ANSWER)
        route = resource.methods.get(method) if resource is not None else None
        if resource is None or route is None:
            raise refusals.no_route()
        try:
            return await self._serve(resource, route)
        except NoPlace:
            raise refusals.too_many() from None
        except BodyTooLarge:
            raise refusals.too_large() from None
        except BodyStalled:
            raise refusals.body_timed_out() from None

    async def _serve(self, resource: Resource, route: Route) -> Response:
        """Raises GatewayError, NoPlace, BodyTooLarge, BodyStalled, ClientGone."""
        front, scope = self._front, self._scope
        if not resource.needs_key:
            with front.without_key.take():
                # These routes need no body, so any body sent is not read.
                return await self._call(
                    route, event_of(scope, resource, self._path, None, None), RefusalResponse
                )
        # A caller whose key is unchecked takes no place from callers whose key is known.
        caller = self._identify()
        self._user_id = caller.user_id
        if resource.path not in AUDIO_PATHS:
            with front.other.take(caller.user_id):
                return await self._read_and_call(resource, route, caller, MAX_OTHER_BYTES)
        declared = declared_length(scope)
        size = MAX_AUDIO_BYTES if declared is None else declared
        if size > MAX_AUDIO_BYTES:
            raise BodyTooLarge
        with front.audio.take(caller.user_id), front.audio_bytes.take(caller.user_id, size):
            return await self._read_and_call(resource, route, caller, MAX_AUDIO_BYTES)

    async def _read_and_call(
        self, resource: Resource, route: Route, caller: Caller, max_bytes: int
    ) -> Response:
        """Raises BodyTooLarge, BodyStalled, ClientGone."""
        body = await read_body(self._scope, self._receive, max_bytes)
        self._received = len(body)
        event = event_of(self._scope, resource, self._path, caller.to_context(), body)
        del body  # the route function frees it as soon as it can
        return await self._call(route, event, Response)

    def _identify(self) -> Caller:
        """Raises GatewayError. Reads one row, mostly from memory: a hand-over to a thread would take longer."""
        sent = next((value for name, value in self._scope["headers"] if name == b"authorization"), b"")
        key = bearer_key(sent.decode("latin-1"))
        try:
            caller = self._front.identify(key) if key else None
        except Exception as error:
            logger.error("a key could not be checked: %s", type(error).__name__)
            raise refusals.key_not_checked() from None
        if caller is None:
            raise InvalidKey()
        return caller

    async def _call(self, route: Route, event: Event, kind: type[Response]) -> Response:
        called = partial(_call_route, route, event, self._front.budget_seconds, kind)
        del event
        response = await self._front.threads.run(called)
        self._request_id = response.headers["x-request-id"]
        return response


def _call_route(route: Route, event: Event, budget_seconds: float, kind: type[Response]) -> Response:
    """Calls the route function, in a thread."""
    request_id = http.begin(event)
    with deadline.within(budget_seconds):
        answer = http.answer(route, event, None)
    return _rendered(answer, request_id, kind)


def _rendered(answer: http.Response, request_id: str, kind: type[Response]) -> Response:
    headers = {name.lower(): str(value) for name, value in answer.headers.items()}
    headers |= http.ALWAYS | {"x-request-id": request_id}
    headers.setdefault("content-type", "application/json")
    return kind(answer.body or b"", status_code=answer.status_code, headers=headers)
