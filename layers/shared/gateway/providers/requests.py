"""The JSON bodies that operators and their agents send, as typed values.

A field's description says what it accepts, and becomes the message for any other value.
"""

from typing import Annotated, Any, Literal, TypeVar
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from gateway.errors import InvalidRequest
from gateway.manifest import URL_SAFE, is_url_safe
from gateway.manifest.schema import MAX_ALLOWED_USERS

MAX_TEXT = 1024


def _handle(value: str) -> str:
    if not is_url_safe(value):
        raise ValueError
    return value


def _printable(value: str) -> str:
    if not value.isprintable():
        raise ValueError
    return value


def _absolute(value: str) -> str | None:
    """Treat empty text as null. Whether the URL may be dialled is checked when it is dialled."""
    if not value:
        return None
    parts = urlsplit(value)  # raises ValueError for broken brackets; `port` raises it for an invalid port
    if (
        parts.scheme not in ("http", "https")
        or not parts.hostname
        or parts.port == 0
        or set("@ ") & set(parts.netloc)
    ):
        raise ValueError
    return value


Handle = Annotated[str, AfterValidator(_handle)]
Text = Annotated[str, Field(max_length=MAX_TEXT), AfterValidator(_printable)]
Url = Annotated[Text, AfterValidator(_absolute)]

_TEXT_ACCEPTS = f"must be text of at most {MAX_TEXT} printable characters"
_URL_ACCEPTS = "must be an absolute http(s) URL with a host, or null"


class _Body(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, hide_input_in_errors=True)


class Registration(_Body):
    """`POST .../register/`; ignores unknown keys."""

    name: Handle = Field(description=URL_SAFE)
    tailnet_hostname: Text | None = Field(None, description=_TEXT_ACCEPTS)
    agent_port: int | None = Field(None, ge=0, le=65535, description="must be an integer from 0 to 65535")
    public_url: Url | None = Field(None, description=_URL_ACCEPTS)


class Heartbeat(_Body):
    """`POST .../heartbeat/`; ignores the tailnet address that agents add."""

    name: Handle = Field(description=URL_SAFE)


class ProviderChange(_Body, extra="forbid"):
    """`PATCH /v1/providers/{name}`."""

    public_url: Url | None = Field(description=_URL_ACCEPTS)


class ServiceChange(_Body, extra="forbid"):
    """`PATCH /v1/providers/{name}/services/{service}`; changes only the fields sent (`model_fields_set`)."""

    access: Literal["private", "authenticated", "restricted"] | None = Field(
        None, description="must be one of private, authenticated, restricted, or null"
    )
    allowed_users: list[Handle] | None = Field(
        None,
        max_length=MAX_ALLOWED_USERS,
        description=f"must be a list of at most {MAX_ALLOWED_USERS} user ids, or null",
    )


Body = TypeVar("Body", bound=_Body)


def read(kind: type[Body], body: Any) -> Body:
    """Read the body as `kind`. Raises InvalidRequest, whose `param` names the first wrong field. Repeats no value."""
    if not isinstance(body, dict):
        raise InvalidRequest("The body must be a JSON object.")
    try:
        read_body = kind.model_validate(body)
    except ValidationError as error:
        field = str(error.errors(include_url=False, include_input=False)[0]["loc"][0])
        if field not in kind.model_fields:
            raise _only_known(kind) from None
        message = f"'{field}' {kind.model_fields[field].description}."
        raise InvalidRequest(message, param=field) from None
    if not read_body.model_fields_set:
        raise _only_known(kind)
    return read_body


def _only_known(kind: type[_Body]) -> InvalidRequest:
    return InvalidRequest(
        f"The body accepts only {' and '.join(kind.model_fields)}: send at least one of these."
    )
