"""The TOKEN authorizer of every route that needs a key: turns an API key into an identity."""

import time
from typing import Any

from gateway import compose, deadline
from gateway.accounts.authorization import bearer_key, policy
from gateway.lifecycle import prepare

# Kept back from the function's time.
MARGIN_SECONDS = 0.5


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    key = bearer_key(event.get("authorizationToken") or "")
    with deadline.within(context.get_remaining_time_in_millis() / 1000 - MARGIN_SECONDS):
        caller = compose.keys().identify(key, time.time()) if key else None
    return policy(event["methodArn"], caller)


prepare(compose.prepare_store, compose.keys, renew=[compose.renew_store])
