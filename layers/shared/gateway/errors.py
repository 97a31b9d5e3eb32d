"""All errors that callers see, with the contract's type, status and code."""

from collections.abc import Mapping
from typing import Any, Self


class GatewayError(Exception):
    """An error, answered as `{"error": {"message", "type", "param", "code"}}`.

    The message is public: it says what was wrong and what is accepted, and never contains a key, an address,
    a filename, a prompt or a transcript.
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
        """Return a copy of the error with these headers added."""
        answered = type(self).__new__(type(self), *self.args)
        answered.__dict__ |= self.__dict__ | {"headers": {**self.headers, **headers}}
        return answered

    def envelope(self) -> dict[str, Any]:
        """The JSON body, always with all four keys."""
        return {"error": {"message": self.message, "type": self.type, "param": self.param, "code": self.code}}


class InvalidRequest(GatewayError):
    """A malformed body or an invalid field value; `param` names the field."""

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
    """The audio exceeds the limit, or what this route can carry."""

    type = "file_too_large"
    status = 413


class UnsupportedMediaType(GatewayError):
    """The file is not accepted as audio."""

    type = "unsupported_media_type"
    status = 415


class InvalidKey(GatewayError):
    """The API key is missing, malformed, unknown, revoked or expired."""

    type = "authentication_error"
    status = 401
    code = "invalid_api_key"

    def __init__(self, message: str | None = None) -> None:
        super().__init__(
            message
            or "The API key is missing, malformed, unknown, revoked or expired. "
            "Send it as 'Authorization: Bearer <key>'."
        )


class NotFound(GatewayError):
    """An unknown route, provider, upload, key or model."""

    type = "not_found"
    status = 404


class NoProvider(GatewayError):
    """The caller can use no online deployment of the model."""

    type = "no_provider"
    status = 404


class Conflict(GatewayError):
    """The current state does not permit the call."""

    type = "conflict"
    status = 409


class RateLimited(GatewayError):
    """The user's request rate (`rate_limit_exceeded`) or quota (`quota_exceeded`) is exceeded."""

    type = "rate_limit_error"
    status = 429
    code = "rate_limit_exceeded"


class UpstreamError(GatewayError):
    """Every eligible deployment failed, refused or did not answer in time."""

    type = "upstream_error"
    status = 502


class LoopDetected(UpstreamError):
    """The request came back to the gateway that sent it."""

    status = 508
    code = "loop_detected"

    def __init__(self) -> None:
        super().__init__(
            "A provider's URL leads back to this gateway. The provider's operator must set a URL "
            "that leads to an STT server.",
            headers={"x-should-retry": "false"},
        )


class InternalError(GatewayError):
    """A defect of the gateway. The log has the details under the request id."""

    def __init__(self, headers: dict[str, str] | None = None) -> None:
        super().__init__(
            "The gateway failed to handle this request. Quote the x-request-id when reporting it.",
            headers=headers,
        )


class StorageUnavailable(GatewayError):
    """The usage record cannot be stored, so the caller gets no transcript."""

    def __init__(self) -> None:
        super().__init__(
            "The gateway cannot store the usage record of this request, so it gives no transcript. The operator of "
            "the gateway finds the reason in its log.",
            # A retry would upload the audio again, and the store would fail again.
            headers={"x-should-retry": "false"},
        )
