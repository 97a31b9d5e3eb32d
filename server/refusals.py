"""What the front answers itself, in the words that API Gateway uses on AWS (template.yaml, GatewayResponses)."""

from starlette.responses import Response

from gateway.errors import FileTooLarge, GatewayError, NotFound, RateLimited
from gateway.http import ALWAYS, json_response
from server.body import RefusalResponse


def _refusal(
    status: int, kind: str, message: str, code: str | None = None, headers: dict[str, str] | None = None
) -> GatewayError:
    error = GatewayError(message, code=code, headers=headers)
    error.status, error.type = status, kind
    return error


def key_not_checked() -> GatewayError:
    return _refusal(
        500, "api_error", "The gateway could not check the API key. Quote the x-request-id when reporting it."
    )


def no_route() -> GatewayError:
    return NotFound(
        "No such route: this path and method are not part of the API. GET /openapi.json lists what is."
    )


def too_many() -> GatewayError:
    return RateLimited(
        "Too many requests. Try again after the seconds in retry-after.", headers={"retry-after": "1"}
    )


def too_large() -> GatewayError:
    return FileTooLarge(
        "The request is larger than one request can carry here. Audio up to 25 MB goes through POST /v1/uploads, "
        "then file_id."
    )


def body_timed_out() -> GatewayError:
    return _refusal(408, "invalid_request_error", "The body did not arrive in time.")


def draining() -> GatewayError:
    return _refusal(
        503,
        "api_error",
        "The server is about to end or to start again. Try again after the seconds in retry-after.",
        headers={"retry-after": "1"},
    )


def response_of(error: GatewayError, kind: type[Response] = RefusalResponse) -> Response:
    """The answer given before the body was read, or instead of it; another `kind` if the body may have been read."""
    return kind(
        json_response(error.envelope()).body or "",
        status_code=error.status,
        headers={**ALWAYS, **error.headers, "content-type": "application/json"},
    )
