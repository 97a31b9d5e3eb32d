"""`gateway-admin` keys, users and providers, with tables from template.yaml in moto."""

import json
import time
from typing import Any

import pytest
from typer.testing import CliRunner

from admin.cli import app
from gateway.accounts.keys import PREFERENCES, Limits
from gateway.providers.operators import Operator
from gateway.settings import CatalogSettings
from gateway.store.dynamodb import aws
from gateway.store.dynamodb.credentials import credential_store
from gateway.store.dynamodb.keys import KeyStore, key_store
from gateway.store.dynamodb.providers import provider_store
from tests.template import Template


@pytest.fixture(autouse=True)
def tables(in_process_aws: Template, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """An administrator's shell environment, and the tables by their outputs' names."""
    monkeypatch.delenv("STT_GATEWAY_STACK", raising=False)
    return {name: in_process_aws.physical_name(name) for name in ("KeysTable", "ProvidersTable")}


def run(*arguments: str, status: int = 0) -> Any:
    result = CliRunner().invoke(app, list(arguments), terminal_width=200)
    assert result.exit_code == status, result.output
    return result


def listed(*arguments: str) -> Any:
    return json.loads(run(*arguments, "--json").stdout)


# --- keys


def test_only_a_new_key_is_on_stdout_and_it_works() -> None:
    result = run("keys", "create", "alice", "--name", "laptop")
    key = result.stdout.strip()
    caller = key_store().identify(key, time.time())
    assert caller is not None
    assert caller.user_id == "alice"
    assert result.stderr == f"{caller.key_id} for alice, shown only once:\n"


def test_a_key_is_never_shown_again() -> None:
    created = listed("keys", "create", "alice", "--name", "laptop")
    key = created.pop("key")
    assert listed("keys", "list", "alice") == [created]
    assert created["name"] == "laptop"
    assert created["state"] == "active"
    for output in (run("keys", "list", "alice").output, run("keys", "revoke", created["id"]).output):
        assert key not in output


def test_an_expiring_key_shows_its_expiry_and_expires() -> None:
    key = run("keys", "create", "alice", "--expires", "2100-12-31").stdout.strip()
    (row,) = listed("keys", "list", "alice")
    assert row["expires_at"] == "2101-01-01T00:00:00Z"
    assert key_store().identify(key, 4_133_980_799) is not None
    assert key_store().identify(key, 4_133_980_800) is None


@pytest.mark.parametrize("name", ["by its id", "by itself"])
def test_a_revoked_key_no_longer_works(name: str) -> None:
    created = listed("keys", "create", "alice")
    told = created["id"] if name == "by its id" else created["key"]
    assert f"{created['id']} of alice is revoked" in run("keys", "revoke", told).stdout
    assert key_store().identify(created["key"], time.time()) is None
    assert listed("keys", "list", "alice")[0]["state"] == "revoked"


def test_a_key_that_does_not_exist_cannot_be_revoked() -> None:
    assert run("keys", "revoke", "key_0000000000000000", status=1).stderr == "there is no key with this id\n"


def test_a_user_without_keys_is_not_an_error() -> None:
    assert run("keys", "list", "nobody").stdout == "nobody has no keys\n"
    assert listed("keys", "list", "nobody") == []


def test_the_names_of_keys_are_printed_as_they_are() -> None:
    run("keys", "create", "alice", "--name", "[red]laptop[/red] [0]")
    assert "[red]laptop[/red] [0]" in run("keys", "list", "alice").stdout
    assert "printable" in run("keys", "create", "alice", "--name", "a\x1b[2Jb", status=1).stderr


# --- users


def test_a_user_has_the_defaults_until_something_is_set() -> None:
    assert listed("users", "show", "alice") == {
        "user": "alice",
        "preference": "any",
        "requests_per_minute": None,
        "audio_seconds_per_day": None,
        "changes_per_minute": 30,
    }


def test_a_setting_is_kept_when_another_is_changed() -> None:
    run("users", "set", "alice", "--requests-per-minute", "60", "--audio-seconds-per-day", "3600")
    run("users", "set", "alice", "--preference", "prefer_own")
    assert key_store().user("alice") == ("prefer_own", Limits(60, 3600))
    run("users", "set", "alice", "--requests-per-minute", "none")
    assert key_store().user("alice") == ("prefer_own", Limits(None, 3600))


@pytest.mark.parametrize("preference", PREFERENCES)
def test_every_preference_can_be_set(preference: str) -> None:
    assert preference in run("users", "set", "alice", "--preference", preference).stdout
    assert key_store().user("alice")[0] == preference


# --- providers


def uploaded(owner: str, name: str, now: float, url: str = "https://stt.example.com/v1") -> None:
    service = {"name": "asr", "type": "stt", "engine": "vllm", "url": url, "models": [{"id": "Whisper"}]}
    parsed = {"schema_version": 1, "agent": {"name": name}, "hosts": [{"id": "rig", "services": [service]}]}
    settings = CatalogSettings(provider_online_seconds=120, allow_private=False)
    store = provider_store()
    Operator(owner, store, credential_store(), settings, now, is_own_key=lambda _: False).upload_manifest(
        {"parsed": parsed}
    )


def test_providers_are_listed_as_their_owners_see_them() -> None:
    uploaded("alice", "home", time.time())
    uploaded("bob", "attic", time.time() - 1000, "http://192.168.1.9/v1")
    attic, home = sorted(listed("providers", "list"), key=lambda each: each["name"])
    assert (home["owner"], home["online"], home["services"][0]["routed"]) == ("alice", True, True)
    assert (attic["owner"], attic["online"], attic["services"][0]["routed"]) == ("bob", False, False)
    table = run("providers", "list").stdout
    assert "whisper" in table
    assert "home" in table


def test_the_providers_of_one_owner_can_be_listed_alone() -> None:
    uploaded("alice", "home", time.time())
    uploaded("bob", "attic", time.time())
    assert [each["name"] for each in listed("providers", "list", "--owner", "bob")] == ["attic"]
    assert run("providers", "list", "--owner", "nobody").stdout == "there are no providers\n"


# --- where the tables are


def test_the_tables_of_a_stack_are_found_by_its_outputs(
    tables: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("KEYS_TABLE")
    outputs = {name: {"Value": table} for name, table in tables.items()}
    template = {"Resources": {"T": {"Type": "AWS::SNS::Topic"}}, "Outputs": outputs}
    aws.client("cloudformation").create_stack(StackName="prod", TemplateBody=json.dumps(template))
    run("keys", "create", "alice", "--stack", "prod")
    assert len(KeyStore(tables["KeysTable"]).list("alice")) == 1


def test_a_stacks_parameters_decide_who_is_online_and_dialable(tables: dict[str, str]) -> None:
    uploaded("bob", "attic", time.time() - 1000, "http://192.168.1.9/v1")
    parameters = {"ProviderOnlineSeconds": "2000", "AllowPrivateProviders": "true"}
    template = {
        "Parameters": {name: {"Type": "String"} for name in parameters},
        "Resources": {"T": {"Type": "AWS::SNS::Topic"}},
        "Outputs": {name: {"Value": table} for name, table in tables.items()},
    }
    given = [{"ParameterKey": name, "ParameterValue": value} for name, value in parameters.items()]
    aws.client("cloudformation").create_stack(
        StackName="lab", TemplateBody=json.dumps(template), Parameters=given
    )
    (attic,) = listed("providers", "list", "--stack", "lab")
    assert (attic["online"], attic["services"][0]["routed"]) == (True, True)


def test_an_unknown_stack_is_reported_with_a_message() -> None:
    assert "there is no such stack" in run("keys", "list", "alice", "--stack", "nope", status=1).stderr


def test_a_missing_table_is_reported_with_a_message(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEYS_TABLE", "elsewhere")
    assert "there is no such table" in run("keys", "list", "alice", status=1).stderr
