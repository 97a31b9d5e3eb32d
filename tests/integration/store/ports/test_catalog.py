import pytest

from gateway.providers.provider import AccessPolicy
from gateway.store.ports import Stores
from tests.integration.store.published import found, listed, publish, service


def test_a_published_model_is_found_under_its_slug_and_its_served_id(stores: Stores) -> None:
    publish(stores, service(models=[]) | {"models": [{"id": "Served", "hf": "Org/Model"}]})
    (by_slug,), (by_id,) = found(stores, "ORG/model"), found(stores, "served")
    assert by_slug == by_id
    assert (by_slug.model.slug, by_slug.model.served_id) == ("org/model", "Served")
    assert (by_slug.last_seen_at, by_slug.published_at) == (1000, 1000)
    assert listed(stores) == ["org/model"]


def test_a_deployment_has_what_its_manifest_declares(stores: Stores) -> None:
    model = {"id": "m", "name": "A model", "features": ["diarization"], "context_length": 448}
    publish(
        stores,
        service(features=["timestamps"], models=[]) | {"models": [model]},
        credentials={"asr": b"\x01\x02"},
        public_url="https://box.example/v1/",
    )
    (deployment,) = found(stores, "m")
    assert deployment.model.features == ("timestamps", "diarization")
    assert (deployment.model.display_name, deployment.model.context_length) == ("A model", 448)
    assert (deployment.base_url, deployment.credential) == ("https://box.example/v1", b"\x01\x02")
    (entry,) = stores.catalog().listing("alice").deployments
    assert entry.model == deployment.model
    assert (entry.key, entry.base_url, entry.access) == (
        deployment.key,
        deployment.base_url,
        deployment.access,
    )


def test_only_stt_services_are_found(stores: Stores) -> None:
    publish(stores, service(), service("chat", type="llm", models=["M", "chat"]))
    assert [each.service for each in found(stores, "m")] == ["asr"]
    assert listed(stores) == ["m"]


def test_a_service_whose_calls_would_loop_is_not_found(stores: Stores) -> None:
    publish(stores, service(), service("loop", ["n"]), looping=("loop",))
    assert (listed(stores), found(stores, "n")) == (["m"], [])


def test_access_decides_who_finds_and_sees_a_service(stores: Stores) -> None:
    publish(
        stores,
        service("mine", ["a"]),
        service("open", ["b"], access="authenticated"),
        service("some", ["c"], access="restricted", allowed_users=["bob"]),
    )
    seen = [listed(stores, user) for user in ("alice", "bob", "carol")]
    assert seen == [["a", "b", "c"], ["b", "c"], ["b"]]
    for user, models in {"alice": "abc", "bob": "bc", "carol": "b"}.items():
        assert [model for model in "abc" if found(stores, model, user)] == list(models)
        assert all(each.allows(user) for each in stores.catalog().listing(user).deployments)
        assert all(each.allows(user) for model in models for each in found(stores, model, user))


def test_a_lookup_names_nobody_else_of_the_allowed_users(stores: Stores) -> None:
    publish(stores, service(access="restricted", allowed_users=["bob", "carol"]))
    assert found(stores, "m", "bob")[0].allowed_users == ("bob",)
    assert stores.catalog().listing("bob").deployments[0].allowed_users == ("bob",)


def test_a_patched_policy_decides_instead_of_the_manifest(stores: Stores) -> None:
    policies = {"asr": AccessPolicy("restricted", ("bob",))}
    publish(stores, service(access="authenticated"), policies=policies)
    assert (listed(stores, "bob"), listed(stores, "carol")) == (["m"], [])


def test_a_new_manifest_replaces_the_old_one_completely(stores: Stores) -> None:
    publish(stores, service("one", ["a", "b"]), service("two", ["c"]))
    publish(stores, service("one", ["b"]))
    assert (found(stores, "a"), found(stores, "c"), listed(stores)) == ([], [], ["b"])


@pytest.mark.parametrize("model", ["", "  ", "x" * 5000, "\ud800", "m'; DROP TABLE keys; --", "a\x00b"])
def test_a_name_that_no_model_can_have_is_not_found(stores: Stores, model: str) -> None:
    publish(stores, service())
    assert found(stores, model) == []
    assert len(found(stores, "m")) == 1


def test_a_hundred_services_with_twenty_models_each_are_published_completely(stores: Stores) -> None:
    names = [f"m{number:04d}" for number in range(2000)]
    publish(stores, *(service(f"s{n}", names[n * 20 : n * 20 + 20]) for n in range(100)))
    assert listed(stores) == names
    assert all(found(stores, name) for name in names[::97])


def test_a_random_hundred_represent_more_candidates(stores: Stores) -> None:
    for owner in ("alice", "bob"):
        services = (service(f"s{n}", ["m"], access="authenticated") for n in range(100))
        publish(stores, *services, owner=owner)
    drawn = [frozenset(each.key for each in found(stores, "m", "carol")) for _ in range(3)]
    assert {len(each) for each in drawn} == {100}
    assert len(set(drawn)) > 1


def test_one_owners_many_services_push_nobody_out_of_the_hundred(stores: Stores) -> None:
    many = (service(f"s{n}", ["m"], access="authenticated") for n in range(100))
    publish(stores, *many, owner="mallory")
    for number in range(10):
        publish(stores, service("asr", ["m"], access="authenticated"), owner=f"user{number}")
    for _ in range(3):
        drawn = {each.owner for each in found(stores, "m", "carol")}
        assert drawn == {"mallory", *(f"user{n}" for n in range(10))}


def test_a_callers_own_deployment_is_never_lost_in_the_crowd(stores: Stores) -> None:
    many = (service(f"s{n}", ["m"], access="authenticated") for n in range(100))
    publish(stores, *many, owner="bob")
    publish(stores, service("mine", ["m"]))
    for _ in range(5):
        assert "alice" in {each.owner for each in found(stores, "m")}


def test_each_of_many_allowed_users_sees_the_service(stores: Stores) -> None:
    users = [f"user-{number}" for number in range(100)]
    publish(stores, service(access="restricted", allowed_users=users))
    assert (listed(stores, "user-7"), listed(stores, "user-100")) == (["m"], [])


def test_a_listing_over_the_limit_is_cut_and_says_so(stores: Stores) -> None:
    for owner in range(3):
        for box in range(5):
            models = [f"m{owner}-{box}-{number:03d}" for number in range(150)]
            manifest = service("asr", models, access="authenticated")
            publish(stores, manifest, owner=f"owner{owner}", name=f"box{box}")
    publish(stores, service("asr", ["small"], access="authenticated"), owner="small")
    publish(stores, service("asr", ["own"]))
    listing = stores.catalog().listing("alice")
    assert listing.is_cut
    assert len(listing.deployments) == 2001
    assert {each.owner for each in listing.deployments} == {"owner0", "owner1", "owner2", "small", "alice"}


def test_a_short_listing_is_not_cut(stores: Stores) -> None:
    publish(stores, service())
    assert not stores.catalog().listing("alice").is_cut
