"""`/v1/keys` on each set of adapters: what a caller, or whoever stole a key, can do to a user's keys."""

import time
from typing import Any

import pytest

from gateway.accounts import own_keys
from gateway.accounts.own_keys import MAX_VALID_KEYS, OwnKeys
from gateway.errors import Conflict, GatewayError, InvalidKey, InvalidRequest, NotFound
from gateway.store.ports import Stores

NOW = int(time.time())


def with_key(stores: Stores, key: str, now: float = NOW) -> OwnKeys:
    """What the caller with this key can do; the key may have ended since it was checked."""
    caller = stores.keys().identify(key, 0)
    assert caller
    return OwnKeys(caller.user_id, caller.key_id, stores.keys(), now)


def root(stores: Stores, user: str = "alice", *, expires_at: int | None = None) -> OwnKeys:
    """With a key that an administrator made."""
    return with_key(stores, stores.keys().create(user, name="root", expires_at=expires_at)[0])


def made(by: OwnKeys, name: str = "made", **more: Any) -> OwnKeys:
    """With a key that another one made."""
    answer = by.make({"name": name} | more)
    return OwnKeys(by.user_id, answer["id"], by.store, by.now)


def refused(kind: type[GatewayError], call: Any, *arguments: Any) -> GatewayError:
    with pytest.raises(GatewayError) as caught:
        call(*arguments)
    assert type(caught.value) is kind
    return caught.value


def valid_ids(keys: OwnKeys, now: float = NOW) -> set[str]:
    return {record.key_id for record in keys.store.list(keys.user_id) if record.is_valid(now)}


def test_a_made_key_identifies_its_makers_user_with_the_users_limits(stores: Stores) -> None:
    first = root(stores)
    answer = first.make({"name": "laptop"})
    caller, maker = (
        stores.keys().identify(answer["value"], NOW),
        stores.keys().identify(first.make({"name": "x"})["value"], NOW),
    )
    assert caller
    assert maker
    assert (caller.user_id, caller.key_id) == ("alice", answer["id"])
    assert (caller.preference, caller.limits) == (maker.preference, maker.limits)


def test_only_the_answer_that_makes_a_key_has_its_value(stores: Stores) -> None:
    first = root(stores)
    answer = first.make({"name": "laptop", "expires_at": NOW + 100})
    value = answer.pop("value")
    assert answer == {
        "id": answer["id"],
        "object": "api_key",
        "name": "laptop",
        "created_at": NOW,
        "expires_at": NOW + 100,
        "revoked_at": None,
        "created_by": first.calling_id,
    }
    listed = first.list()
    assert listed["object"] == "list"
    assert answer in listed["data"]
    assert value not in str(listed)


def test_a_key_without_expiry_makes_keys_with_any_or_none(stores: Stores) -> None:
    first = root(stores)
    assert first.make({"name": "a"})["expires_at"] is None
    assert first.make({"name": "b", "expires_at": NOW + 1})["expires_at"] == NOW + 1


def test_a_made_key_expires_no_later_than_its_maker(stores: Stores) -> None:
    expiring = root(stores, expires_at=NOW + 100)
    assert expiring.make({"name": "a"})["expires_at"] == NOW + 100
    assert expiring.make({"name": "b", "expires_at": None})["expires_at"] == NOW + 100
    assert expiring.make({"name": "c", "expires_at": NOW + 99})["expires_at"] == NOW + 99
    refusal = refused(InvalidRequest, expiring.make, {"name": "d", "expires_at": NOW + 101})
    assert refusal.param == "expires_at"
    assert len(expiring.store.list("alice")) == 4


def test_revoking_a_key_revokes_everything_that_came_from_it_and_nothing_else(stores: Stores) -> None:
    first = root(stores)
    stolen = made(first)
    descendants = [made(stolen)]
    for _ in range(3):
        descendants.append(made(descendants[-1]))
    sibling = made(first)
    assert first.revoke(stolen.calling_id) == {"id": stolen.calling_id, "object": "api_key", "deleted": True}
    assert valid_ids(first) == {first.calling_id, sibling.calling_id}


def test_an_administrators_revocation_also_ends_what_the_key_made(stores: Stores) -> None:
    first = root(stores)
    made(made(first))
    assert stores.keys().revoke(first.calling_id)
    assert valid_ids(first) == set()


def test_a_key_may_revoke_itself(stores: Stores) -> None:
    first, other = root(stores), root(stores)
    first.revoke(first.calling_id)
    assert valid_ids(first) == {other.calling_id}


def test_a_revocation_can_be_sent_again_and_keeps_its_time(stores: Stores) -> None:
    first = root(stores)
    stolen = made(first)
    first.revoke(stolen.calling_id)
    later = OwnKeys("alice", first.calling_id, first.store, NOW + 10)
    assert later.revoke(stolen.calling_id)["deleted"] is True
    (record,) = (each for each in first.store.list("alice") if each.key_id == stolen.calling_id)
    assert record.revoked_at == NOW


@pytest.mark.parametrize("end", ["revoked", "expired"])
def test_a_key_that_has_ended_can_do_nothing_although_it_was_let_pass(stores: Stores, end: str) -> None:
    first = root(stores)
    ended = made(first, expires_at=NOW + 5)
    if end == "revoked":
        first.revoke(ended.calling_id)
    else:
        ended = OwnKeys("alice", ended.calling_id, ended.store, NOW + 5)
    before = stores.keys().list("alice")
    refused(InvalidKey, ended.make, {"name": "survivor"})
    refused(InvalidKey, ended.list)
    refused(InvalidKey, ended.revoke, first.calling_id)
    assert stores.keys().list("alice") == before


def test_another_users_key_is_as_unknown_as_one_that_never_was(stores: Stores) -> None:
    alice, bob = root(stores), root(stores, "bob")
    refusals = [refused(NotFound, alice.revoke, key_id) for key_id in (bob.calling_id, "key_0", "x" * 5000)]
    assert len({(each.message, each.param) for each in refusals}) == 1
    assert bob.calling_id in valid_ids(bob)
    assert [each["id"] for each in alice.list()["data"]] == [alice.calling_id]


def test_a_user_has_at_most_fifty_valid_keys(stores: Stores) -> None:
    first = root(stores)
    expiring = [made(first, expires_at=NOW + 50) for _ in range(2)]
    others = [made(first) for _ in range(MAX_VALID_KEYS - 3)]
    refusal = refused(Conflict, first.make, {"name": "one more"})
    assert refusal.headers == {"x-should-retry": "false"}
    assert made(root(stores, "bob")).calling_id

    first.revoke(others[0].calling_id)
    made(first)
    refused(Conflict, first.make, {"name": "one more"})

    later = OwnKeys("alice", first.calling_id, first.store, NOW + 50)
    made(later)
    made(later)
    refused(Conflict, later.make, {"name": "one more"})
    assert not valid_ids(later, NOW + 50) & {each.calling_id for each in expiring}


def test_an_administrators_keys_count_but_are_not_limited(stores: Stores) -> None:
    keys = [root(stores) for _ in range(MAX_VALID_KEYS + 1)]
    refused(Conflict, keys[0].make, {"name": "one more"})


def test_the_oldest_ended_keys_are_forgotten_but_never_an_administrators(
    stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(own_keys, "MAX_ENDED_KEYS", 3)
    first, mine = root(stores), root(stores)
    first.revoke(mine.calling_id)
    ended = [made(first) for _ in range(6)]
    for number, each in enumerate(ended):
        OwnKeys("alice", first.calling_id, first.store, NOW + number).revoke(each.calling_id)
    last = made(first)
    kept = {each["id"] for each in first.list()["data"]}
    assert kept == {each.calling_id for each in (first, mine, *ended[3:], last)}
    assert stores.keys().revoke(ended[0].calling_id) is None


def test_the_largest_family_is_revoked_at_once(stores: Stores) -> None:
    first = root(stores)
    stolen = made(first)
    newest = stolen
    for _ in range(MAX_VALID_KEYS - 2):
        newest = made(newest)
    first.revoke(stolen.calling_id)
    assert valid_ids(first) == {first.calling_id}
