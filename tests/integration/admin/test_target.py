"""Which gateway `gateway-admin` works on, and what it says when there is none."""

import os
import time
from pathlib import Path

import pytest

from admin import local_gateway
from server import presence
from server.sqlite.stores import open_stores
from tests.integration.admin.conftest import Administered, create_stack, listed, run


def test_an_option_names_the_gateway_as_a_variable_does(
    gateway: Administered, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("STT_GATEWAY_STACK", raising=False)
    monkeypatch.delenv("DATA_DIR", raising=False)
    run("keys", "create", "alice", *gateway.options)
    assert len(gateway.stores.keys().list("alice")) == 1


def test_the_data_directory_of_the_checkout_is_the_default(
    here: Administered, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local_gateway, "_DEFAULT", Path(os.environ["DATA_DIR"]))
    monkeypatch.delenv("DATA_DIR")
    run("keys", "create", "alice")
    assert len(here.stores.keys().list("alice")) == 1


def test_an_option_counts_more_than_a_variable(here: Administered, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STT_GATEWAY_STACK", "prod")
    run("keys", "create", "alice", *here.options)
    assert len(here.stores.keys().list("alice")) == 1


def test_two_gateways_at_once_are_refused() -> None:
    refused = run("keys", "list", "alice", "--stack", "prod", "--data-dir", "data", status=1)
    assert "give one of them" in refused.stderr


def test_a_directory_without_a_gateway_is_not_created(tmp_path: Path) -> None:
    elsewhere = tmp_path / "typo"
    refused = run("keys", "create", "alice", "--data-dir", str(elsewhere), status=1)
    assert refused.stderr.startswith(f"there is no gateway in {elsewhere}: start it once")
    assert not elsewhere.exists()


def test_a_damaged_database_is_reported_with_a_message(tmp_path: Path) -> None:
    open_stores(tmp_path).close()
    (tmp_path / local_gateway.DATABASE).write_bytes(b"this is no database" * 100)
    assert "is damaged" in run("keys", "list", "alice", "--data-dir", str(tmp_path), status=1).stderr


# --- settings: who is online and dialable


def test_the_running_gateways_settings_decide(here: Administered) -> None:
    here.stores.keys().create("bob")
    here.publish("bob", "attic", time.time() - 1000, "http://192.168.1.9/v1")
    settings = {"PROVIDER_ONLINE_SECONDS": "2000", "ALLOW_PRIVATE_PROVIDERS": "true"}
    presence.announce(Path(os.environ["DATA_DIR"]), "http://127.0.0.1:3000", settings)
    (attic,) = listed("providers", "list")
    assert (attic["online"], attic["services"][0]["routed"]) == (True, True)


@pytest.mark.usefixtures("in_process_aws")
def test_a_stacks_parameters_decide(on_aws: Administered) -> None:
    on_aws.stores.keys().create("bob")
    on_aws.publish("bob", "attic", time.time() - 1000, "http://192.168.1.9/v1")
    create_stack("lab", {"ProviderOnlineSeconds": "2000", "AllowPrivateProviders": "true"})
    (attic,) = listed("providers", "list", "--stack", "lab")
    assert (attic["online"], attic["services"][0]["routed"]) == (True, True)


# --- AWS


@pytest.mark.usefixtures("in_process_aws")
def test_an_unknown_stack_is_reported_with_a_message() -> None:
    assert "there is no such stack" in run("keys", "list", "alice", "--stack", "nope", status=1).stderr


@pytest.mark.usefixtures("in_process_aws")
def test_a_missing_table_is_reported_with_a_message() -> None:
    create_stack("old", outputs={"KeysTable": "elsewhere"})
    assert "there is no such table" in run("keys", "list", "alice", "--stack", "old", status=1).stderr


@pytest.mark.usefixtures("in_process_aws")
def test_a_stack_of_something_else_is_reported_with_a_message() -> None:
    create_stack("other", outputs={"KeysTable": ""})
    refused = run("keys", "list", "alice", "--stack", "other", status=1)
    assert "check that it is an stt-gateway" in refused.stderr
