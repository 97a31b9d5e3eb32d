"""Turn an Authorization header into an API Gateway policy."""

from typing import Any

from gateway.accounts import keys
from gateway.accounts.keys import Caller


def bearer_key(header: str) -> str | None:
    """The key in `Bearer <key>`; None when no well-formed key is there."""
    scheme, _, key = header.strip().partition(" ")
    key = key.strip()
    return key if scheme.lower() == "bearer" and keys.is_wellformed(key) else None


def policy(method_arn: str, caller: Caller | None) -> dict[str, Any]:
    """Build the authorizer's answer: allow the whole stage for a caller, deny it for None.

    API Gateway caches the policy for all routes, so it covers them all. A denial is also a policy, which API Gateway
    answers with 401: an exception would count as a Lambda error and not be cached.
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
