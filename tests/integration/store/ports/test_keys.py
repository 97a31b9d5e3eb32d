from gateway.accounts.keys import CHANGES_PER_MINUTE, Caller, Limits
from gateway.store.ports import Stores


def test_a_key_identifies_its_user_until_it_is_revoked(stores: Stores) -> None:
    keys = stores.keys()
    key, record = keys.create("alice", name="laptop")
    keys.set_user("alice", "prefer_own", Limits(60, 3600))
    assert keys.identify(key, 0) == Caller("alice", record.key_id, "prefer_own", Limits(60, 3600))
    assert keys.revoke(record.key_id) is not None
    assert keys.identify(key, 0) is None
    assert [(each.name, each.revoked_at is not None) for each in keys.list("alice")] == [("laptop", True)]


def test_a_second_revocation_keeps_the_first_time(stores: Stores) -> None:
    _, record = stores.keys().create("alice")
    first = stores.keys().revoke(record.key_id)
    assert first
    assert first.revoked_at
    assert stores.keys().revoke(record.key_id) == first


def test_an_expired_or_unknown_key_identifies_nobody(stores: Stores) -> None:
    key, _ = stores.keys().create("alice", expires_at=100)
    assert stores.keys().identify(key, 99) is not None
    assert stores.keys().identify(key, 100) is None
    assert stores.keys().identify("sk-unknown-000000000000", 0) is None
    assert stores.keys().revoke("key_unknown") is None


def test_every_issued_key_is_known_valid_or_not(stores: Stores) -> None:
    keys = stores.keys()
    valid, _ = keys.create("alice")
    expired, _ = keys.create("alice", expires_at=100)
    revoked, record = keys.create("alice")
    keys.revoke(record.key_id)
    assert all(keys.knows(key) for key in (valid, expired, revoked))
    assert not keys.knows("sk-of-somebody-else-000000")
    assert not keys.knows("hf_AbCdEfGhIjKlMnOpQrStUvWxYz")


def test_a_user_without_settings_has_the_defaults(stores: Stores) -> None:
    assert stores.keys().user("alice") == ("any", Limits(None, None, CHANGES_PER_MINUTE))


def test_no_limit_is_kept_as_no_limit(stores: Stores) -> None:
    stores.keys().set_user("alice", "only_own", Limits(None, None, None))
    assert stores.keys().user("alice") == ("only_own", Limits(None, None, None))


def test_a_key_with_a_chosen_value_may_be_created_again(stores: Stores) -> None:
    for name in ("first", "second"):
        key, _ = stores.keys().create("alice", name=name, key="sk-local-alice-0000000000000000")
        assert key == "sk-local-alice-0000000000000000"
    assert [each.name for each in stores.keys().list("alice")] == ["second"]


def test_a_user_sees_only_their_own_keys(stores: Stores) -> None:
    mine = {stores.keys().create("alice")[1].key_id for _ in range(3)}
    stores.keys().create("bob")
    assert {each.key_id for each in stores.keys().list("alice")} == mine


def test_everyone_with_a_key_or_settings_is_a_user(stores: Stores) -> None:
    keys = stores.keys()
    for user in ("carol", "carol", "bob"):
        keys.create(user)
    keys.set_user("bob", "only_own", Limits(5))
    keys.set_user("alice", "any", Limits())
    assert keys.users() == ["alice", "bob", "carol"]
