import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError

from gateway.accounts.keys import Caller, Limits
from gateway.providers.deployments import CredentialUnavailableError, Deployment
from gateway.providers.provider import AccessPolicy, Provider
from gateway.store.dynamodb import aws
from gateway.store.dynamodb.catalog import CatalogStore, catalog_store
from gateway.store.dynamodb.credentials import CredentialStore, credential_store
from gateway.store.dynamodb.keys import key_store
from gateway.store.dynamodb.providers import ProviderStore, provider_store
from gateway.store.dynamodb.usage import LOST_RECORD, UsageStore, item_of, usage_store
from gateway.usage.record import Duration, Record
from tests.fakes import FakeClock, deployment
from tests.template import Template

pytestmark = pytest.mark.usefixtures("in_process_aws")
USAGE = Record("r1", "alice", "key_1", 1_767_225_600.0, duration=Duration(3.0, "measured"), http_status=200)


def document(*services: dict[str, Any]) -> dict[str, Any]:
    return {
        "schema_version": 1,
        "agent": {"name": "home"},
        "hosts": [{"id": "h", "services": list(services)}],
    }


def service(name: str = "asr", models: Any = ("M",), **changes: Any) -> dict[str, Any]:
    url, entries = f"https://{name}.example/v1", [{"id": each} for each in models]
    return {"name": name, "type": "stt", "engine": "vllm", "url": url, "models": entries} | changes


def publish(*services: dict[str, Any], owner: str = "alice", **changes: Any) -> Provider:
    store = provider_store()
    store.beat(owner, "home", 1000, create=True)
    provider = store.provider(owner, "home")
    assert provider is not None
    provider = replace(provider, document=document(*services), uploaded_at=1000, **changes)
    assert store.publish(provider)
    catalog_store().forget()
    return provider


def found(model: str, user: str = "alice") -> list[Deployment]:
    catalog_store().forget()
    return catalog_store().deployments(model, user)


def listed(user: str = "alice") -> list[str]:
    catalog_store().forget()
    return sorted(each.model.slug for each in catalog_store().listing(user).deployments)


def rows() -> list[tuple[str, str]]:
    items = aws.client("dynamodb").scan(TableName=provider_store().table)["Items"]
    return sorted((item["pk"]["S"], item["sk"]["S"].partition("#")[0]) for item in items)


# --- keys


def test_a_key_identifies_its_user_until_it_is_revoked() -> None:
    key, record = key_store().create("alice", name="laptop")
    key_store().set_user("alice", "prefer_own", Limits(60, 3600))
    assert key_store().identify(key, 0) == Caller("alice", record.key_id, "prefer_own", Limits(60, 3600))
    assert key_store().revoke(record.key_id) is not None
    assert key_store().identify(key, 0) is None
    assert [each.revoked_at is not None for each in key_store().list("alice")] == [True]


def test_an_expired_or_unknown_key_identifies_nobody() -> None:
    key, _ = key_store().create("alice", expires_at=100)
    assert key_store().identify(key, 99) is not None
    assert key_store().identify(key, 100) is None
    assert key_store().identify("sk-unknown-000000000000", 0) is None
    assert key_store().revoke("key_unknown") is None


def test_every_issued_key_is_known_and_others_cost_no_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    valid, _ = key_store().create("alice")
    expired, _ = key_store().create("alice", expires_at=100)
    revoked, record = key_store().create("alice")
    key_store().revoke(record.key_id)
    assert all(key_store().knows(key) for key in (valid, expired, revoked))
    assert not key_store().knows("sk-of-somebody-else-000000")
    monkeypatch.setattr(aws, "client", None)
    assert not key_store().knows("hf_AbCdEfGhIjKlMnOpQrStUvWxYz")


def test_the_table_holds_no_key_in_plain_text() -> None:
    key, _ = key_store().create("alice")
    assert key not in json.dumps(aws.client("dynamodb").scan(TableName=key_store().table)["Items"])


# --- what is published is found


def test_a_published_model_is_found_under_its_slug_and_its_served_id() -> None:
    publish(service(models=[]) | {"models": [{"id": "Served", "hf": "Org/Model"}]})
    (by_slug,), (by_id,) = found("ORG/model"), found("served")
    assert by_slug == by_id
    assert (by_slug.model.slug, by_slug.model.served_id, by_slug.last_seen_at) == (
        "org/model",
        "Served",
        1000,
    )
    assert listed() == ["org/model"]


def test_only_stt_services_are_found() -> None:
    publish(service(), service("chat", type="llm", models=["M", "chat"]))
    assert [each.service for each in found("m")] == ["asr"]
    assert listed() == ["m"]


def test_access_decides_who_finds_and_sees_a_service() -> None:
    publish(
        service("mine", ["a"]),
        service("open", ["b"], access="authenticated"),
        service("some", ["c"], access="restricted", allowed_users=["bob"]),
    )
    assert (listed("alice"), listed("bob"), listed("carol")) == (["a", "b", "c"], ["b", "c"], ["b"])
    for user, models in {"alice": "abc", "bob": "bc", "carol": "b"}.items():
        assert [model for model in "abc" if found(model, user)] == list(models)


def test_a_patched_policy_decides_instead_of_the_manifest() -> None:
    publish(service(access="authenticated"), policies={"asr": AccessPolicy("restricted", ("bob",))})
    assert (listed("bob"), listed("carol")) == (["m"], [])


def test_a_new_manifest_replaces_the_old_one_completely() -> None:
    publish(service("one", ["a", "b"]), service("two", ["c"]))
    publish(service("one", ["b"]))
    assert (found("a"), found("c"), listed()) == ([], [], ["b"])
    assert rows() == [
        ("audience#alice", "alice"),
        ("listing#alice", "home"),
        ("model#b", "0000"),
        ("owner#alice", "head"),
        ("owner#alice", "roster"),
        ("owner#alice", "version"),
    ]


def test_a_publication_from_an_outdated_read_changes_nothing() -> None:
    outdated = publish(service("one", ["a"]))
    before = rows()
    assert not provider_store().publish(replace(outdated, document=document(service("two", ["b"]))))
    assert (listed(), rows()) == (["a"], before)


def test_changes_besides_the_manifest_from_an_outdated_read_are_refused() -> None:
    publish(service())
    store = provider_store()
    read = store.provider("alice", "home")
    assert read is not None
    assert store.save_meta(replace(read, public_url="https://one.example"))
    assert not store.save_meta(replace(read, public_url="https://two.example"))
    kept = store.provider("alice", "home")
    assert kept is not None
    assert kept.public_url == "https://one.example"


def test_a_deleted_provider_leaves_no_row() -> None:
    publish(service())
    assert provider_store().delete("alice", "home")
    assert (rows(), listed(), found("m")) == ([("owner#alice", "roster")], [], [])
    assert not provider_store().delete("alice", "home")


def test_a_heartbeat_writes_one_small_item_and_only_for_a_known_provider() -> None:
    publish(service())
    assert provider_store().beat("alice", "home", 2000)
    assert not provider_store().beat("alice", "away", 2000)
    head = aws.get(provider_store().table, "owner#alice", "head#home")
    assert found("m")[0].last_seen_at == 2000
    assert len(json.dumps(head)) < 200


def test_an_owner_sees_only_their_own_providers() -> None:
    publish(service())
    publish(service(), owner="bob")
    assert [(each.owner, each.name) for each in provider_store().owned("bob")] == [("bob", "home")]


def test_a_model_id_that_cannot_be_a_table_key_is_not_found() -> None:
    assert found("x" * 5000) == []
    assert found("") == []


def test_a_hundred_services_with_twenty_models_each_are_published_completely() -> None:
    names = [f"m{number:04d}" for number in range(2000)]
    publish(*(service(f"s{n}", names[n * 20 : n * 20 + 20]) for n in range(100)))
    assert listed() == names
    assert all(found(name) for name in names[::97])


def test_a_random_hundred_represent_more_candidates() -> None:
    for owner in ("alice", "bob"):
        publish(*(service(f"s{n}", ["m"], access="authenticated") for n in range(100)), owner=owner)
    drawn = [frozenset(each.key for each in found("m", "carol")) for _ in range(3)]
    assert {len(each) for each in drawn} == {100}
    assert len(set(drawn)) > 1


def test_one_owners_many_services_push_nobody_out_of_the_hundred() -> None:
    publish(*(service(f"s{n}", ["m"], access="authenticated") for n in range(100)), owner="mallory")
    for number in range(10):
        publish(service("asr", ["m"], access="authenticated"), owner=f"user{number}")
    for _ in range(3):
        drawn = {each.owner for each in found("m", "carol")}
        assert drawn == {"mallory", *(f"user{n}" for n in range(10))}


def test_a_callers_own_deployment_is_never_lost_in_the_crowd() -> None:
    publish(*(service(f"s{n}", ["m"], access="authenticated") for n in range(100)), owner="bob")
    publish(service("mine", ["m"]))
    for _ in range(5):
        assert "alice" in {each.owner for each in found("m")}


def test_a_listed_user_takes_one_small_row() -> None:
    users = [f"user-{number}" for number in range(100)]
    publish(service(access="restricted", allowed_users=users))
    items = aws.client("dynamodb").scan(TableName=provider_store().table)["Items"]
    audience = [item for item in items if item["pk"]["S"].startswith("audience#user-")]
    assert len(audience) == 100
    assert max(len(json.dumps(item)) for item in audience) < 1000
    assert (listed("user-7"), listed("user-100")) == (["m"], [])


def test_a_hit_is_cached_for_a_few_seconds_and_a_miss_is_not() -> None:
    store = CatalogStore(catalog_store().table)
    assert store.deployments("m", "alice") == []
    publish(service())
    assert len(store.deployments("m", "alice")) == 1
    provider_store().delete("alice", "home")
    assert len(store.deployments("m", "alice")) == 1
    store.forget()
    assert store.deployments("m", "alice") == []


# --- a writer that dies


class Killed(BaseException):
    """The process has ended: nothing after it runs."""


def kill_after(writes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Allow this many DynamoDB writes, then end before the next."""
    real, left = aws.client("dynamodb"), [writes]

    class Mortal:
        def __getattr__(self, name: str) -> Callable[..., Any]:
            def call(**arguments: Any) -> Any:
                if name in ("put_item", "update_item", "delete_item", "batch_write_item"):
                    if not left[0]:
                        raise Killed
                    left[0] -= 1
                return getattr(real, name)(**arguments)

            return call

    monkeypatch.setattr(aws, "client", lambda _: Mortal())


@pytest.mark.parametrize("writes", range(12))
def test_killing_a_writer_between_any_two_writes_leaves_the_old_or_the_new_manifest(
    writes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = [f"old{n}" for n in range(30)], [f"new{n}" for n in range(30)]
    publish(service(models=old, access="authenticated"))
    with monkeypatch.context() as dying:
        kill_after(writes, dying)
        try:
            publish(service(models=new, access="authenticated"))
        except Killed:
            pass
        else:
            assert writes >= 7
    seen = listed("bob")
    assert seen in (sorted(old), sorted(new))
    assert all(found(model, "bob") for model in seen)
    assert not any(found(model, "bob") for model in {*old, *new} - set(seen))
    # The next publication sweeps what the dead writer left.
    publish(service(models=["last"]))
    assert [pk for pk, _ in rows()] == ["audience#alice", "listing#alice", "model#last", *["owner#alice"] * 3]


# --- usage


def test_a_usage_record_is_written_once_per_request_id() -> None:
    usage_store().save(USAGE)
    usage_store().save(replace(USAGE, duration=Duration(99.0, "measured")))
    (record,) = aws.query(usage_store().table, "user#alice")
    assert record["billed_seconds"] == 3


def test_a_record_whose_write_fails_goes_to_the_queue_complete() -> None:
    UsageStore("no-such-table", usage_store().queue_url).save(USAGE)
    reply = aws.client("sqs").receive_message(QueueUrl=usage_store().queue_url)
    assert json.loads(reply["Messages"][0]["Body"]) == item_of(USAGE, 400)


def test_a_record_that_no_service_takes_is_one_log_line(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    class Down:
        def __getattr__(self, _: str) -> Any:
            raise EndpointConnectionError(endpoint_url="https://aws.example")

    store = usage_store()
    monkeypatch.setattr(aws, "client", lambda *_: Down())
    store.save(USAGE)
    (lost,) = [each for each in caplog.records if each.getMessage() == LOST_RECORD]
    assert lost.__dict__["record"] == item_of(USAGE, 400)


# --- credentials


def test_a_credential_is_returned_only_for_its_own_service(in_process_aws: Template) -> None:
    store = credential_store()
    ciphertext = store.encrypt("hunter2", "alice", "home", "asr")
    assert b"hunter2" not in ciphertext
    assert store.decrypt(deployment("home", credential=ciphertext)) == "hunter2"
    store.forget()
    with pytest.raises(CredentialUnavailableError):
        store.decrypt(deployment("home", service="other", credential=ciphertext))


def test_a_decrypted_credential_leaves_memory_after_a_minute() -> None:
    clock = FakeClock()
    store = CredentialStore(credential_store().key_id, clock)
    ciphertexts = [store.encrypt(f"hunter{number}", "alice", "home", "asr") for number in (2, 3)]
    assert store.decrypt(deployment("home", credential=ciphertexts[0])) == "hunter2"
    assert "hunter2" in repr(vars(store._recent))
    clock.seconds += 59
    assert store.decrypt(deployment("home", credential=ciphertexts[1])) == "hunter3"
    assert "hunter2" in repr(vars(store._recent))
    clock.seconds += 1
    # Another credential is requested, but this one never again.
    store.decrypt(deployment("home", credential=ciphertexts[1]))
    assert "hunter2" not in repr(vars(store._recent))


def test_a_deployment_without_a_credential_needs_no_kms_call() -> None:
    assert credential_store().decrypt(deployment()) is None


def test_providers_are_the_same_after_a_round_trip_through_the_table() -> None:
    policies = {"asr": AccessPolicy(None, ("bob",))}
    publish(service(), credentials={"asr": b"\x00\xff"})
    store = ProviderStore(provider_store().table)
    read = store.provider("alice", "home")
    assert read is not None
    changed = replace(read, policies=policies, errors=("hosts: is required",), public_url="https://x.example")
    assert store.save_meta(changed)
    kept = store.provider("alice", "home")
    assert kept is not None
    assert (kept.policies, kept.errors, kept.public_url) == (policies, changed.errors, changed.public_url)
    assert (kept.credentials, kept.document) == ({"asr": b"\x00\xff"}, document(service()))


def test_a_stored_credential_is_recognised_only_for_its_service() -> None:
    store = credential_store()
    ciphertext = store.encrypt("hunter2", "alice", "home", "asr")
    assert store.holds(ciphertext, "hunter2", "alice", "home", "asr")
    assert not store.holds(ciphertext, "hunter3", "alice", "home", "asr")
    assert not store.holds(ciphertext, "hunter2", "bob", "home", "asr")
