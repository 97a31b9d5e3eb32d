import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError

from gateway.providers.deployments import Deployment
from gateway.providers.provider import Provider
from gateway.store.dynamodb import aws, stores
from gateway.store.dynamodb.catalog import CatalogStore, catalog_store
from gateway.store.dynamodb.credentials import CredentialStore, credential_store
from gateway.store.dynamodb.keys import key_store
from gateway.store.dynamodb.providers import provider_store
from gateway.store.dynamodb.usage import LOST_RECORD, UsageStore, item_of, usage_store
from gateway.usage.record import Duration, Record
from tests.fakes import FakeClock, deployment
from tests.integration.store import published
from tests.integration.store.published import document, service

pytestmark = pytest.mark.usefixtures("in_process_aws")
USAGE = Record("r1", "alice", "key_1", 1_767_225_600.0, duration=Duration(3.0, "measured"), http_status=200)


def publish(*services: dict[str, Any], owner: str = "alice", **changes: Any) -> Provider:
    provider = published.publish(stores, *services, owner=owner, **changes)
    catalog_store().forget()
    return provider


def found(model: str, user: str = "alice") -> list[Deployment]:
    return published.found(stores, model, user)


def listed(user: str = "alice") -> list[str]:
    return published.listed(stores, user)


def rows() -> list[tuple[str, str]]:
    items = aws.client("dynamodb").scan(TableName=provider_store().table)["Items"]
    return sorted((item["pk"]["S"], item["sk"]["S"].partition("#")[0]) for item in items)


# --- keys


def test_a_text_that_is_no_key_costs_no_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aws, "client", None)
    assert not key_store().knows("hf_AbCdEfGhIjKlMnOpQrStUvWxYz")


def test_the_table_holds_no_key_in_plain_text() -> None:
    key, _ = key_store().create("alice")
    assert key not in json.dumps(aws.client("dynamodb").scan(TableName=key_store().table)["Items"])


# --- what is published is found


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


def test_a_deleted_provider_leaves_no_row() -> None:
    publish(service())
    assert provider_store().delete("alice", "home")
    assert (rows(), listed(), found("m")) == ([("owner#alice", "roster")], [], [])
    assert not provider_store().delete("alice", "home")


def test_a_heartbeat_writes_one_small_item() -> None:
    publish(service())
    assert provider_store().beat("alice", "home", 2000)
    head = aws.get(provider_store().table, "owner#alice", "head#home")
    assert len(json.dumps(head)) < 200


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
