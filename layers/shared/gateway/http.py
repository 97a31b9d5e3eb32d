"""The edge: parse API Gateway events and render responses in the contract's format."""

import binascii
import json
import re
import secrets
import time
import traceback
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import pybase64

from gateway import deadline
from gateway.accounts.keys import Caller
from gateway.errors import GatewayError, InternalError, InvalidRequest, MissingFile, NotFound
from gateway.observability import logger
from gateway.providers import addresses

if TYPE_CHECKING:
    from gateway.multipart import Part

Event = dict[str, Any]

VIA = "x-stt-gateway-via"
_VIAS = (VIA, "via", "x-amzn-remapped-via")
# The event key of the request's id. The handler always overwrites it, even if a test event sets it.
_REQUEST_ID = "sttGatewayRequestId"

EXPOSED = (
    "x-request-id,x-provider,x-attempts,x-downgraded-response-format,x-should-retry,retry-after,"
    "openai-processing-ms,x-ratelimit-limit-requests,x-ratelimit-remaining-requests,x-ratelimit-reset-requests"
)
NO_ROUTE = "No such route: this path and method are not part of the API. GET /openapi.json lists what is."
ALWAYS = {"access-control-allow-origin": "*", "access-control-expose-headers": EXPOSED}


@dataclass(frozen=True, slots=True)
class Response:
    """An answer: its status, its body's text, and its headers."""

    status_code: int
    body: str
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Route:
    """A route: its method, its path in API Gateway's form, and its function."""

    method: str
    path: str
    answer: Callable[[Event, Any], Response]


def lambda_handler(routes: Sequence[Route]) -> Callable[[Event, Any], dict[str, Any]]:
    """Build the Lambda handler of the routes. It renders every error in the envelope, adds the common headers, and
    ends before the function's deadline."""
    patterns = [(route.method, path_pattern(route.path), route) for route in routes]

    def handle(event: Event, context: Any) -> dict[str, Any]:
        request_id = begin(event)
        method, path = event["httpMethod"], event["path"].rstrip("/") or "/"
        fits = (route for known, pattern, route in patterns if method == known and pattern.fullmatch(path))
        with deadline.within(context.get_remaining_time_in_millis() / 1000 - deadline.MARGIN_SECONDS):
            reply = answer(next(fits, _NO_ROUTE), event, context)
        headers = {**reply.headers, **ALWAYS, "x-request-id": request_id}
        return {
            "statusCode": reply.status_code,
            "body": reply.body,
            "isBase64Encoded": False,
            "multiValueHeaders": {name: [value] for name, value in headers.items()},
        }

    return handle


def path_pattern(path: str) -> re.Pattern[str]:
    """Match the paths of a route, without a slash at the end. `{name}` is one segment, `{name+}` one or more; each is a
    group of the pattern."""
    parts = re.split(r"\{(\w+)(\+?)\}", path)  # text, name, plus, text, name, plus, ..., text
    groups = (
        f"(?P<{name}>{'.+' if plus else '[^/]+'}){re.escape(text)}"
        for name, plus, text in zip(parts[1::3], parts[2::3], parts[3::3], strict=True)
    )
    return re.compile(re.escape(parts[0]) + "".join(groups))


def _no_route(_event: Event, _context: Any) -> Response:
    raise NotFound(NO_ROUTE)


_NO_ROUTE = Route("", "", _no_route)


def begin(event: Event) -> str:
    """Give the request an id of its own, in the event and in this context's log lines. Returns it."""
    request_id = event[_REQUEST_ID] = new_request_id()
    logger.thread_safe_clear_keys()
    logger.thread_safe_append_keys(request_id=request_id, api_gateway_request_id=api_gateway_id_of(event))
    return request_id


def answer(route: Route, event: Event, context: Any) -> Response:
    """Call the route's function, as the Lambda edge does. Every error becomes an answer in the envelope."""
    try:
        return route.answer(event, context)
    except GatewayError as error:
        return _error_response(error)
    except Exception as error:
        return _defect_response(error)


def _error_response(error: GatewayError) -> Response:
    if error.__cause__ is not None:
        _log_defect(error.__cause__)
    return json_response(error.envelope(), status=error.status, headers=error.headers)


def _defect_response(error: Exception) -> Response:
    _log_defect(error)
    return _error_response(InternalError())


def _log_defect(error: BaseException) -> None:
    # Log the place, not the message: an exception's text may contain what a caller sent.
    frames = traceback.extract_tb(error.__traceback__)
    where = [f"{Path(frame.filename).name}:{frame.lineno} {frame.name}" for frame in frames]
    logger.error("unhandled", extra={"kind": type(error).__name__, "where": where})


def json_response(body: Any, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Build a JSON response. `body` is JSON text, or a value to serialise."""
    text = body if isinstance(body, str) else json.dumps(body, ensure_ascii=False, separators=(",", ":"))
    return Response(status, text, {**(headers or {}), "Content-Type": "application/json"})


def new_request_id() -> str:
    """Make a UUIDv7 (RFC 9562, section 5.7), which sorts by time. API Gateway's id and the header's do not serve:
    a client can choose both, and so give two requests one id."""
    random = secrets.randbits(74)
    time_and_version = (time.time_ns() // 1_000_000) << 16 | 0x7 << 12 | random >> 62
    return str(uuid.UUID(int=time_and_version << 64 | 0b10 << 62 | random & (1 << 62) - 1))


def request_id_of(event: Event) -> str:
    """The gateway's own id of the request, used in the answer and the usage record."""
    return str(event[_REQUEST_ID])


def api_gateway_id_of(event: Event) -> str | None:
    """API Gateway's id of the request, as in its errors and logs. A client can choose it: record it, but never use it
    as a key."""
    return _noted(event["requestContext"].get("requestId"))


def client_id_of(event: Event) -> str | None:
    """The `x-request-id` that the caller sent, for the record."""
    return _noted(header_of(event, "x-request-id"))


def _noted(text: Any) -> str | None:
    """The printable ASCII in the first 128 characters of a client's id; None when there is none."""
    kept = "".join(each for each in str(text or "")[:128] if "!" <= each <= "~")
    return kept or None


def own_hosts(event: Event) -> frozenset[str]:
    """The hosts of this gateway: API Gateway's host name, and the one that this request used."""
    context = event["requestContext"]
    return addresses.own_hosts("", context.get("domainName") or "", context.get("apiId") or "")


def via_of(event: Event) -> tuple[str, str]:
    """The gateways that the request passed through: our own header, and all forms of `Via`, each joined into one text.

    API Gateway renames the standard header.
    """
    sent: dict[str, list[str]] = {}
    for name, values in (event.get("multiValueHeaders") or {}).items():
        if (lower := name.lower()) in _VIAS:
            sent.setdefault(lower, []).extend(values or ())
    for name, value in (event.get("headers") or {}).items():
        if (lower := name.lower()) in _VIAS and lower not in sent:
            sent[lower] = [value or ""]
    ours, *others = (", ".join(sent.get(name, ())) for name in _VIAS)
    return ours, ", ".join(filter(None, others))


def caller_of(event: Event) -> Caller:
    """The caller that the authorizer identified."""
    return Caller.from_context(event["requestContext"].get("authorizer") or {})


def path_parameter(event: Event, name: str) -> str:
    """A path parameter, percent-decoded once.

    `path` is as sent. Reports disagree on whether `pathParameters` are already decoded (serverless issue 5037 saw
    `%40`, serverless-offline 638 the opposite): a value that occurs in the path is not decoded yet.
    """
    value = ((event.get("pathParameters") or {}).get(name) or "").strip("/")
    return unquote(value) if f"/{value}/" in f"{event['path']}/" else value


def header_of(event: Event, name: str) -> str:
    """A request header by its lower-case name; empty when absent."""
    headers = event.get("headers") or {}
    return next((value for key, value in headers.items() if key.lower() == name), None) or ""


def take_body(event: Event) -> bytes | bytearray:
    """Take the body's bytes out of the event, so that an encoded copy can be freed. API Gateway sends text; a server
    may put the bytes themselves there.

    Raises InvalidRequest when the body is not valid base64 although the event says so.
    """
    body = event.pop("body", None) or ""
    if isinstance(body, bytes | bytearray):
        return body
    if not event.get("isBase64Encoded"):
        return bytes(body, "utf-8", "surrogatepass")
    try:
        return pybase64.b64decode(body, validate=True)
    except (binascii.Error, ValueError):
        raise InvalidRequest("The body cannot be decoded: it is not valid base64.") from None


def read_form(event: Event) -> "Sequence[Part]":
    """Read the multipart form. Raises MissingFile when there is no form, InvalidRequest when it is malformed."""
    # Most functions read no form.
    from gateway import multipart

    content_type = header_of(event, "content-type")
    body = take_body(event)
    if not body or not multipart.is_multipart(content_type):
        raise MissingFile
    return multipart.read(content_type, body)


def read_json(event: Event) -> Any:
    """Read a JSON body. Raises InvalidRequest when it is not JSON."""
    try:
        return json.loads(take_body(event))
    except (ValueError, RecursionError):
        raise InvalidRequest("The body is not valid JSON. Send a JSON object.") from None
