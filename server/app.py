"""The HTTP front: route, authorizer, body, handler, answer, in API Gateway's order and wording."""

import base64
import logging
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from server.authorization import Refusal, authorize
from server.body import BodyStalled, BodyTooLarge, ClientGone, RefusalResponse, read_body
from server.environments import Environments, FunctionFailed, FunctionTimedOut
from server.gateway_response import GatewayResponses
from server.places import NoPlace, Places
from server.proxy_event import Call, proxy_event
from server.resources import Resource, Resources
from server.template import Api, Route, Template

logger = logging.getLogger(__name__)

# 25 MB of audio plus the form around it.
MAX_BINARY_BYTES = 26_214_400 + 512 * 1024
# API Gateway's own limit; only audio has a reason to be larger.
MAX_TEXT_BYTES = 10 * 1024 * 1024
# Calls in progress, per kind of route; more are asked to retry later. Calls with audio may each hold 25 MB and
# wait for a provider. Calls of one kind cannot keep out another kind.
MAX_AUDIO_CALLS = 64
MAX_OTHER_CALLS = 64
MAX_CALLS_WITHOUT_KEY = 64
TRANSCRIPTIONS = "/v1/audio/transcriptions"
AUDIO_PATHS = (TRANSCRIPTIONS, "/v1/audio/translations", "/v1/uploads/{id}/parts")


@dataclass(frozen=True)
class _Body:
    data: bytes | bytearray
    is_binary: bool


# The body of a call to a route without a key: these need none, so any body sent is not read.
UNREAD = _Body(b"", is_binary=False)


def environments_for_providers(template: Template) -> dict[str, int]:
    """Environments of the function whose calls wait for a provider: one for each call in progress."""
    return {route.function: MAX_AUDIO_CALLS for route in template.routes() if route.path == TRANSCRIPTIONS}


class Gateway:
    """An ASGI application that serves a template's routes through its functions."""

    def __init__(self, template: Template, environments: Environments) -> None:
        self._api: Api = template.api()
        self._resources = Resources(template.routes())
        self._responses = GatewayResponses(self._api.gateway_responses)
        self._environments = environments
        self._audio = Places(MAX_AUDIO_CALLS)
        self._other = Places(MAX_OTHER_CALLS)
        self._without_key = Places(MAX_CALLS_WITHOUT_KEY)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        request_id = str(uuid.uuid4())
        started = time.monotonic()
        try:
            response = await self._answer(request, request_id)
        except ClientGone:
            logger.info("%s %s: the client went away", request.method, request_id)
            return
        except Exception:
            logger.exception("request %s", request_id)
            response = self._refuse("DEFAULT_5XX", "Internal server error", request_id)
        response.headers.setdefault("x-request-id", request_id)
        milliseconds = (time.monotonic() - started) * 1000
        logger.info("%s %s %d %.0f ms", request.method, request_id, response.status_code, milliseconds)
        await response(scope, receive, send)

    async def _answer(self, request: Request, request_id: str) -> Response:
        path = request.scope["raw_path"].decode("ascii", "replace")
        resource = self._resources.find(path)
        if resource is not None and request.method == "OPTIONS" and "OPTIONS" not in resource.methods:
            return self._preflight(resource)
        route = resource.route(request.method) if resource is not None else None
        if resource is None or route is None:
            return self._refuse("MISSING_AUTHENTICATION_TOKEN", "Missing Authentication Token", request_id)
        call = Call(request, request_id, path, resource)
        try:
            return await self._serve(route, call)
        except NoPlace:
            return self._refuse("THROTTLED", "Too Many Requests", request_id)
        except Refusal as refusal:
            return self._refuse(refusal.kind, str(refusal), request_id)
        except BodyTooLarge:
            return self._refuse("REQUEST_TOO_LARGE", "Request Too Long", request_id)
        except BodyStalled:
            return self._refuse("DEFAULT_4XX", "The body did not arrive in time.", request_id, status=408)

    async def _serve(self, route: Route, call: Call) -> Response:
        """Raises NoPlace, Refusal, BodyTooLarge, BodyStalled, ClientGone."""
        if not route.authorized or self._api.authorizer is None:
            with self._without_key.take():
                return await self._invoke(route.function, call, {}, UNREAD)
        # A caller whose key is unchecked takes no place from callers whose key is known.
        identity = await authorize(call, self._api.authorizer, self._environments)
        places = self._audio if route.path in AUDIO_PATHS else self._other
        with places.take(identity["principalId"]):
            return await self._invoke(route.function, call, identity, await self._body(call.request))

    async def _body(self, request: Request) -> _Body:
        media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        is_binary = media_type in self._api.binary_media_types
        limit = MAX_BINARY_BYTES if is_binary else MAX_TEXT_BYTES
        return _Body(await read_body(request, limit), is_binary)

    async def _invoke(self, function: str, call: Call, identity: Mapping[str, Any], body: _Body) -> Response:
        encoded = body.is_binary and bool(body.data)
        event = proxy_event(call, identity, encoded)
        try:
            answer = await self._environments.invoke(
                function,
                event,
                call.request_id,
                body=body.data,
                encoding="base64" if encoded else "text" if body.data else "none",
            )
            return self._rendered(answer, call.request, RefusalResponse if body is UNREAD else Response)
        except FunctionTimedOut:
            message = "Endpoint request timed out"
            return self._responses.render("INTEGRATION_TIMEOUT", message, call.request_id)
        except (FunctionFailed, AttributeError, KeyError, TypeError, ValueError) as failure:
            # All but the first: not the answer that a proxy integration must return.
            logger.error("%s failed, request %s: %s", function, call.request_id, type(failure).__name__)
            return self._responses.render("INTEGRATION_FAILURE", "Internal server error", call.request_id)

    def _rendered(self, answer: Any, request: Request, kind: type[Response]) -> Response:
        content = answer.get("body") or ""
        # API Gateway decodes a body only if the caller accepts one of its binary types.
        accepted = request.headers.get("accept", "").partition(",")[0].partition(";")[0].strip().lower()
        if answer.get("isBase64Encoded") and accepted in self._api.binary_media_types:
            content = base64.b64decode(content)
        response = kind(content, status_code=int(answer["statusCode"]))
        for name, value in (answer.get("headers") or {}).items():
            response.headers[name] = str(value)
        for name, values in (answer.get("multiValueHeaders") or {}).items():
            del response.headers[name]
            for value in values:
                response.headers.append(name, str(value))
        response.headers.setdefault("content-type", "application/json")
        return response

    def _preflight(self, resource: Resource) -> Response:
        """The answer of SAM's generated OPTIONS method."""
        cors = self._api.cors
        methods = ",".join(sorted({*resource.methods, "OPTIONS"}))
        headers = {
            "access-control-allow-origin": cors.get("AllowOrigin"),
            "access-control-allow-methods": cors.get("AllowMethods", methods),
            "access-control-allow-headers": cors.get("AllowHeaders"),
            "access-control-max-age": cors.get("MaxAge"),
        }
        present = {name: str(value).strip("'") for name, value in headers.items() if value is not None}
        return Response(status_code=200, headers=present, media_type="application/json")

    def _refuse(self, kind: str, message: str, request_id: str, status: int | None = None) -> Response:
        """An answer given before the body was read, or instead of it."""
        return self._responses.render(kind, message, request_id, RefusalResponse, status)
