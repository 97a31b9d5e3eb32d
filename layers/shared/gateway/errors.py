"""Every error a caller can see, with the type, status and code that the contract gives it."""

from collections.abc import Mapping
from typing import Any, Self


class GatewayError(Exception):
    """An error that is answered as `{"error": {"message", "type", "param", "code"}}`.

    The message is read by strangers: it says what was wrong and what is accepted, and never holds a key,
    an address, a filename, a prompt or a transcript.
    """

    type = "api_error"
    status = 500
    code: str | None = None

    def __init__(
        self,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        if code is not None:
            self.code = code
        self.headers = headers or {}

    def with_headers(self, headers: Mapping[str, str]) -> Self:
        """The same error, answered with these headers too."""
        answered = type(self).__new__(type(self), *self.args)
        answered.__dict__ |= self.__dict__ | {"headers": {**self.headers, **headers}}
        return answered

    def envelope(self) -> dict[str, Any]:
        """The JSON body, all four keys always present."""
        return {"error": {"message": self.message, "type": self.type, "param": self.param, "code": self.code}}


class InvalidRequest(GatewayError):
    """A malformed body or a bad field value; `param` names the field."""

    type = "invalid_request_error"
    status = 400


class MissingFile(GatewayError):
    """No `file` part, or an empty one."""

    type = "missing_file"
    status = 400

    def __init__(self, message: str | None = None) -> None:
        super().__init__(
            message
            or "The request has no audio. Send a multipart/form-data field named 'file' that is not "
            "empty, or 'file_id'.",
            param="file",
        )


class FileTooLarge(GatewayError):
    """The audio is over the limit, or over what this route can carry."""

    type = "file_too_large"
    status = 413


class UnsupportedMediaType(GatewayError):
    """The file is not audio that the gateway accepts."""

    type = "unsupported_media_type"
    status = 415


class AuthenticationFailed(GatewayError):
    """No key, or one that is malformed, unknown, revoked or expired."""

    type = "authentication_error"
    status = 401
    code = "invalid_api_key"


class PermissionDenied(GatewayError):
    """A known key that may not do this."""

    type = "permission_error"
    status = 403


class NotFound(GatewayError):
    """An unknown route, provider, upload or model."""

    type = "not_found"
    status = 404


class NoProvider(GatewayError):
    """No online deployment of the model that this caller may use."""

    type = "no_provider"
    status = 404


class Conflict(GatewayError):
    """A state that forbids the call."""

    type = "conflict"
    status = 409


class RateLimited(GatewayError):
    """Over the user's request rate (`rate_limit_exceeded`) or audio seconds (`quota_exceeded`)."""

    type = "rate_limit_error"
    status = 429
    code = "rate_limit_exceeded"


class UpstreamError(GatewayError):
    """Every eligible deployment failed, refused or did not answer in time."""

    type = "upstream_error"
    status = 502


class LoopDetected(UpstreamError):
    """The request came back to the deployment that sent it."""

    status = 508
    code = "loop_detected"

    def __init__(self) -> None:
        super().__init__(
            "A provider's URL leads back to this gateway. The provider's operator must set a URL "
            "that leads to an STT server.",
            headers={"x-should-retry": "false"},
        )


class InternalError(GatewayError):
    """A defect of ours; the details are in the log, under the request id."""

    def __init__(self, headers: dict[str, str] | None = None) -> None:
        super().__init__(
            "The gateway failed to handle this request. Quote the x-request-id when reporting it.",
            headers=headers,
        )
