"""From an Authorization header to an API Gateway policy."""

from typing import Any

from gateway.accounts import keys
from gateway.accounts.keys import Caller


def bearer_key(header: str) -> str | None:
    """The key in `Bearer <key>`, or None when there is nothing that could be one."""
    scheme, _, key = header.strip().partition(" ")
    key = key.strip()
    return key if scheme.lower() == "bearer" and keys.is_wellformed(key) else None


def policy(method_arn: str, caller: Caller | None) -> dict[str, Any]:
    """An authorizer's answer: the whole stage for a caller, nothing for None.

    API Gateway caches it for every route, so it must not name only the one that was asked. A denial is a
    policy too (raising would count as a Lambda error and never be cached): API Gateway makes it a 401.
    """
    # arn:aws:execute-api:region:account:api/stage/METHOD/path
    stage = "/".join(method_arn.split("/")[:2])
    answer: dict[str, Any] = {
        "principalId": caller.user_id if caller else "nobody",
        "policyDocument": {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Action": "execute-api:Invoke",
                    "Effect": "Allow" if caller else "Deny",
                    "Resource": f"{stage}/*",
                }
            ],
        },
    }
    if caller:
        answer["context"] = caller.to_context()
    return answer
