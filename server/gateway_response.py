"""Renders the answers that API Gateway itself gives, from the template's GatewayResponses."""

import json
import re
from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

# API Gateway's status if the template sets no StatusCode (its documentation, "Gateway response types").
_STATUS = {
    "UNAUTHORIZED": 401,
    "ACCESS_DENIED": 403,
    "MISSING_AUTHENTICATION_TOKEN": 403,
    "REQUEST_TOO_LARGE": 413,
    "THROTTLED": 429,
    "INTEGRATION_FAILURE": 504,
    "INTEGRATION_TIMEOUT": 504,
    "AUTHORIZER_FAILURE": 500,
    "BAD_REQUEST_BODY": 400,
}
_VARIABLE = re.compile(r"\$context((?:\.\w+)+)")


class GatewayResponses:
    """Renders each type of answer from the template, else from its default type, else as AWS does."""

    def __init__(self, declared: Mapping[str, Mapping[str, Any]]) -> None:
        self._declared = declared

    def render(
        self,
        kind: str,
        message: str,
        request_id: str,
        response: type[Response] = Response,
        status: int | None = None,
    ) -> Response:
        """`message` is the value of `$context.error.message`; `status` is API Gateway's own."""
        status = status or _STATUS.get(kind, 500)
        default = "DEFAULT_4XX" if status < 500 else "DEFAULT_5XX"
        declared = self._declared.get(kind) or self._declared.get(default, {})
        variables = {
            "requestId": request_id,
            "extendedRequestId": request_id,
            "error.message": message,
            "error.messageString": json.dumps(message),
            "error.responseType": kind,
        }
        template = declared.get("ResponseTemplates", {}).get(
            "application/json", '{"message":$context.error.messageString}'
        )
        body = _VARIABLE.sub(lambda match: variables.get(match.group(1)[1:], ""), template)
        headers = declared.get("ResponseParameters", {}).get("Headers", {})
        return response(
            body,
            status_code=int(declared.get("StatusCode", status)),
            media_type="application/json",
            headers={name: _mapped(value, variables) for name, value in headers.items()},
        )


def _mapped(value: str, variables: Mapping[str, str]) -> str:
    """A header's mapping: `'text'` is literal, `context.requestId` is looked up."""
    if value.startswith("'"):
        return value.strip("'")
    return variables.get(value.removeprefix("context."), "")
