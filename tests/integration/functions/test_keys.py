"""The keys handler, with the template's tables: what only the edge does."""

import json
import time
from collections.abc import Mapping
from typing import Any

import pytest

from functions.keys import app
from gateway.accounts.keys import CHANGES_PER_MINUTE, Caller, Limits
from gateway.store.dynamodb.keys import key_store
from tests.integration.function_processes import EVENTS
from tests.lambda_context import LambdaContext

pytestmark = pytest.mark.usefixtures("in_process_aws")


@pytest.fixture
def caller() -> Caller:
    """alice, with a key that an administrator made."""
    return Caller("alice", key_store().create("alice", name="root")[1].key_id)


def invoke(name: str, caller: Caller, **changes: Any) -> tuple[int, dict[str, Any], Mapping[str, str]]:
    """Status, body and headers of the handler's answer to an event."""
    event = json.loads((EVENTS / f"keys_{name}.json").read_text()) | changes
    event["requestContext"]["authorizer"] = caller.to_context()
    reply = app.handler(event, LambdaContext())
    headers = {key.lower(): values[0] for key, values in reply["multiValueHeaders"].items()}
    return reply["statusCode"], json.loads(reply["body"]), headers


def revoke(caller: Caller, key_id: str) -> tuple[int, dict[str, Any], Mapping[str, str]]:
    return invoke("revoke", caller, path=f"/v1/keys/{key_id}", pathParameters={"id": key_id})


def error_of(
    answer: tuple[int, dict[str, Any], Mapping[str, str]],
) -> tuple[int, str, str | None, str | None]:
    status, body, _ = answer
    assert set(body["error"]) == {"message", "type", "param", "code"}
    return status, body["error"]["type"], body["error"]["param"], body["error"]["code"]


def test_a_made_key_works_is_listed_and_can_be_revoked(caller: Caller) -> None:
    status, made, headers = invoke("make", caller)
    assert status == 200
    assert headers["cache-control"] == "no-store"
    identified = key_store().identify(made["value"], time.time())
    assert identified
    assert (identified.user_id, identified.key_id) == ("alice", made["id"])

    status, listed, _ = invoke("list", caller)
    # Made in the same second, so in any order.
    assert (status, {each["id"] for each in listed["data"]}) == (200, {caller.key_id, made["id"]})

    assert revoke(caller, made["id"])[:2] == (200, {"id": made["id"], "object": "api_key", "deleted": True})
    assert key_store().identify(made["value"], time.time()) is None


def test_a_wrong_field_is_named(caller: Caller) -> None:
    for body, param in (
        ({"name": ""}, "name"),
        ({"name": "x", "expires_at": 1}, "expires_at"),
        ({"name": "x", "a": 1}, None),
    ):
        answer = invoke("make", caller, body=json.dumps(body))
        assert error_of(answer) == (400, "invalid_request_error", param, None)
    assert error_of(invoke("make", caller, body="{"))[:2] == (400, "invalid_request_error")


def test_a_revoked_key_that_api_gateway_still_lets_pass_is_unauthorized(caller: Caller) -> None:
    _, made, _ = invoke("make", caller)
    revoke(caller, made["id"])
    thief = Caller("alice", made["id"])
    for answer in (invoke("make", thief), invoke("list", thief), revoke(thief, caller.key_id)):
        assert error_of(answer) == (401, "authentication_error", None, "invalid_api_key")


def test_an_unknown_key_is_not_found_and_not_repeated(caller: Caller) -> None:
    answer = revoke(caller, "sk-local-alice-0000000000000000")
    assert error_of(answer) == (404, "not_found", "id", None)
    assert "sk-local" not in json.dumps(answer[1])


def test_new_keys_count_as_changes_but_a_revocation_is_never_refused(caller: Caller) -> None:
    limited = Caller("alice", caller.key_id, limits=Limits(changes_per_minute=CHANGES_PER_MINUTE))
    answers = [invoke("make", limited, body="{}") for _ in range(CHANGES_PER_MINUTE)]
    assert {status for status, _, _ in answers} == {400}
    refused = invoke("make", limited)
    assert error_of(refused) == (429, "rate_limit_error", None, "rate_limit_exceeded")
    assert int(refused[2]["retry-after"]) >= 1
    assert revoke(limited, caller.key_id)[0] == 200


def test_no_log_line_has_a_key(caller: Caller, capfd: pytest.CaptureFixture[str]) -> None:
    _, made, _ = invoke("make", caller)
    invoke("list", Caller("alice", made["id"]))
    revoke(caller, made["value"])
    assert made["value"] not in "".join(capfd.readouterr())
