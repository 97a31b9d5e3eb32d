"""What the front answers itself, in the words that API Gateway uses on AWS (template.yaml, GatewayResponses)."""

from gateway.errors import FileTooLarge, GatewayError, InvalidRequest, NotFound, RateLimited
from gateway.http import ALWAYS, NO_ROUTE, json_response
from server.body import RefusalResponse


class Unauthorized(GatewayError):
    """The key is missing, malformed, unknown, revoked or expired."""

    type = "authentication_error"
    status = 401
    code = "invalid_api_key"


class KeyNotChecked(GatewayError):
    """The store did not say whose key it is."""


class Draining(GatewayError):
    """The server is about to end."""

    status = 503


class BodyTimedOut(InvalidRequest):
    """The body stopped arriving, or arrived too slowly."""

    status = 408


def unauthorized() -> GatewayError:
    return Unauthorized(
        "The API key is missing, malformed, unknown, revoked or expired. Send it as 'Authorization: Bearer <key>'."
    )


def key_not_checked() -> GatewayError:
    return KeyNotChecked("The gateway could not check the API key. Quote the x-request-id when reporting it.")


def no_route() -> GatewayError:
    return NotFound(NO_ROUTE)


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
    return BodyTimedOut("The body did not arrive in time.")


def draining() -> GatewayError:
    return Draining(
        "The server is about to end or to start again. Try again after the seconds in retry-after.",
        headers={"retry-after": "1"},
    )


def response_of(error: GatewayError) -> RefusalResponse:
    """The answer given before the body was read, or instead of it."""
    return RefusalResponse(
        json_response(error.envelope()).body or "",
        status_code=error.status,
        headers={**ALWAYS, **error.headers, "content-type": "application/json"},
    )
