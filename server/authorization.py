"""Calls a route's Lambda TOKEN authorizer and applies its answer.

This caches nothing, while AWS keeps an answer for the seconds set in the template. Locally, a changed key
takes effect at once, and each call costs one more authorizer invocation.
"""

import fnmatch
import re
from collections.abc import Mapping
from typing import Any

from server.environments import Environments, FunctionFailed, FunctionTimedOut
from server.proxy_event import Call, authorizer_event
from server.template import Authorizer


class Refusal(Exception):
    """The call is refused; `kind` is API Gateway's response type."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


async def authorize(call: Call, authorizer: Authorizer, environments: Environments) -> dict[str, Any]:
    """The context that the handler sees as `requestContext.authorizer`. Raises Refusal."""
    token = call.request.headers.get(authorizer.header)
    if not token or (authorizer.pattern and not re.fullmatch(authorizer.pattern, token)):
        # API Gateway does not ask the authorizer when its identity source is missing.
        raise Refusal("UNAUTHORIZED", "Unauthorized")
    try:
        answer = await environments.invoke(
            authorizer.function, authorizer_event(call, token), call.request_id
        )
    except FunctionFailed as failure:
        if str(failure) == "Unauthorized":
            raise Refusal("UNAUTHORIZED", "Unauthorized") from failure
        raise Refusal("AUTHORIZER_FAILURE", "Internal server error") from failure
    except FunctionTimedOut as failure:
        raise Refusal("AUTHORIZER_FAILURE", "Internal server error") from failure
    if not isinstance(answer, dict) or "policyDocument" not in answer:
        raise Refusal("AUTHORIZER_CONFIGURATION_ERROR", "Internal server error")
    if not _allows(answer["policyDocument"], call.method_arn):
        raise Refusal("ACCESS_DENIED", "User is not authorized to access this resource")
    return _identity(answer)


def _allows(policy: Mapping[str, Any], method_arn: str) -> bool:
    """IAM's rule: a matching Deny wins, else a matching Allow is needed."""
    effects = [
        statement["Effect"]
        for statement in policy["Statement"]
        if any(fnmatch.fnmatchcase(method_arn, resource) for resource in _list(statement["Resource"]))
    ]
    return "Allow" in effects and "Deny" not in effects


def _list(value: Any) -> list[str]:
    return value if isinstance(value, list) else [value]


def _identity(answer: Mapping[str, Any]) -> dict[str, Any]:
    """API Gateway passes on every value of the authorizer's context as a string."""
    context = {
        name: str(value).lower() if isinstance(value, bool) else str(value)
        for name, value in (answer.get("context") or {}).items()
    }
    return {**context, "principalId": answer.get("principalId", "")}
