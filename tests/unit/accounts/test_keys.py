import pytest

from gateway.accounts import keys
from gateway.accounts.authorization import bearer_key, policy
from gateway.accounts.keys import Caller, KeyRecord, Limits

ARN = "arn:aws:execute-api:eu-central-1:123456789012:abc123/prod/POST/v1/audio/transcriptions"


def test_generated_keys_are_wellformed_and_unique() -> None:
    made = {keys.generate_key() for _ in range(100)}
    assert len(made) == 100
    assert all(keys.is_wellformed(key) for key in made)


def test_a_key_id_is_not_the_key() -> None:
    key = keys.generate_key()
    assert keys.key_id_of(keys.hash_key(key)) not in key


@pytest.mark.parametrize(
    ("header", "key"),
    [
        ("Bearer sk-local-alice-0000000000000000", "sk-local-alice-0000000000000000"),
        ("bearer  sk-local-alice-0000000000000000 ", "sk-local-alice-0000000000000000"),
        ("sk-local-alice-0000000000000000", None),
        ("Basic sk-local-alice-0000000000000000", None),
        ("Bearer", None),
        ("Bearer short", None),
        ("Bearer sk-" + "x" * 400, None),
        ("Bearer sk-local-alice-00000000 00000000", None),
        ("", None),
    ],
)
def test_only_a_wellformed_bearer_key_is_looked_up(header: str, key: str | None) -> None:
    assert bearer_key(header) == key


def test_an_identity_survives_the_authorizer_context() -> None:
    for caller in (Caller("alice", "key_1"), Caller("bob", "key_2", "only_own", Limits(60, 3600))):
        assert Caller.from_context({**caller.to_context(), "principalId": "x"}) == caller


def test_a_policy_covers_the_whole_stage_because_it_is_cached_for_every_route() -> None:
    (statement,) = policy(ARN, Caller("alice", "key_1"))["policyDocument"]["Statement"]
    assert statement["Effect"] == "Allow"
    assert statement["Resource"] == "arn:aws:execute-api:eu-central-1:123456789012:abc123/prod/*"


def test_a_denial_carries_no_identity() -> None:
    answer = policy(ARN, None)
    assert answer["policyDocument"]["Statement"][0]["Effect"] == "Deny"
    assert "context" not in answer


@pytest.mark.parametrize(
    ("record", "valid"),
    [
        (KeyRecord("k", "u", "", 0), True),
        (KeyRecord("k", "u", "", 0, expires_at=101), True),
        (KeyRecord("k", "u", "", 0, expires_at=100), False),
        (KeyRecord("k", "u", "", 0, revoked_at=50), False),
    ],
)
def test_a_key_is_valid_until_it_expires_or_is_revoked(record: KeyRecord, valid: bool) -> None:
    assert record.is_valid(100) is valid
