from dataclasses import replace

from gateway.providers.provider import MAX_PROVIDERS, AccessPolicy
from gateway.store.ports import Stores
from tests.integration.store.published import document, listed, publish, service


def test_a_publication_from_an_outdated_read_changes_nothing(stores: Stores) -> None:
    outdated = publish(stores, service("one", ["a"]))
    assert not stores.providers().publish(replace(outdated, document=document(service("two", ["b"]))))
    assert listed(stores) == ["a"]


def test_an_unknown_provider_cannot_publish(stores: Stores) -> None:
    read = publish(stores, service())
    stores.providers().delete("alice", "home")
    assert not stores.providers().publish(read)
    assert stores.providers().provider("alice", "home") is None


def test_changes_besides_the_manifest_from_an_outdated_read_are_refused(stores: Stores) -> None:
    publish(stores, service())
    store = stores.providers()
    read = store.provider("alice", "home")
    assert read is not None
    assert store.save_meta(replace(read, public_url="https://one.example"))
    assert not store.save_meta(replace(read, public_url="https://two.example"))
    kept = store.provider("alice", "home")
    assert kept is not None
    assert kept.public_url == "https://one.example"


def test_a_deleted_provider_is_neither_listed_nor_found(stores: Stores) -> None:
    publish(stores, service())
    assert stores.providers().delete("alice", "home")
    stores.catalog().forget()
    assert (listed(stores), stores.catalog().deployments("m", "alice")) == ([], [])
    assert not stores.providers().delete("alice", "home")


def test_a_provider_that_is_created_again_keeps_nothing(stores: Stores) -> None:
    publish(stores, service(), credentials={"asr": b"\x00\xff"})
    store = stores.providers()
    read = store.provider("alice", "home")
    assert read is not None
    assert store.save_meta(replace(read, public_url="https://one.example"))
    store.delete("alice", "home")
    assert store.beat("alice", "home", 2000, create=True)
    again = store.provider("alice", "home")
    assert again is not None
    assert (again.version, again.document, again.public_url, again.credentials) == (None, None, None, {})


def test_a_heartbeat_is_recorded_only_for_a_known_provider(stores: Stores) -> None:
    publish(stores, service())
    assert stores.providers().beat("alice", "home", 2000.9)
    assert not stores.providers().beat("alice", "away", 2000)
    stores.catalog().forget()
    assert stores.catalog().deployments("m", "alice")[0].last_seen_at == 2000


def test_an_owner_with_the_max_number_of_providers_gets_no_new_one(stores: Stores) -> None:
    store = stores.providers()
    assert all(store.beat("alice", f"box-{number}", 1, create=True) for number in range(MAX_PROVIDERS))
    assert not store.beat("alice", "one-more", 1, create=True)
    assert store.beat("alice", "box-0", 2, create=True)
    assert len(store.owned("alice")) == MAX_PROVIDERS


def test_an_owner_sees_only_their_own_providers_by_name(stores: Stores) -> None:
    for name in ("b", "a", "c"):
        publish(stores, service(), owner="bob", name=name)
    publish(stores, service())
    owned = stores.providers().owned("bob")
    assert [(each.owner, each.name) for each in owned] == [("bob", "a"), ("bob", "b"), ("bob", "c")]


def test_providers_are_the_same_after_a_round_trip(stores: Stores) -> None:
    policies = {"asr": AccessPolicy(None, ("bob",)), "gone": AccessPolicy("authenticated", None)}
    publish(stores, service(), credentials={"asr": b"\x00\xff"}, looping=("other",))
    store = stores.providers()
    read = store.provider("alice", "home")
    assert read is not None
    changed = replace(read, policies=policies, errors=("hosts: is required",), public_url="https://x.example")
    assert store.save_meta(changed)
    kept = store.provider("alice", "home")
    assert kept == replace(changed, revision=1)
    assert kept is not None
    assert (kept.credentials, kept.document) == ({"asr": b"\x00\xff"}, document(service()))
    assert store.owned("alice") == [kept]


def test_the_values_of_a_publication_are_kept_beside_later_ones(stores: Stores) -> None:
    policies = {"asr": AccessPolicy("authenticated", None)}
    publish(stores, service(), public_url="https://x.example", policies=policies)
    read = stores.providers().provider("alice", "home")
    assert read is not None
    assert (read.published_url, read.published_policies) == ("https://x.example", policies)
    assert (read.public_url, read.policies) == (None, {})
