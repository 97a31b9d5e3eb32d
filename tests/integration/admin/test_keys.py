"""`gateway-admin keys`, on this machine and on AWS."""

import time

import pytest

from gateway.accounts.own_keys import OwnKeys
from tests.integration.admin.conftest import Administered, listed, run


def test_only_a_new_key_is_on_stdout_and_it_works(gateway: Administered) -> None:
    result = run("keys", "create", "alice", "--name", "laptop")
    caller = gateway.stores.keys().identify(result.stdout.strip(), time.time())
    assert caller is not None
    assert caller.user_id == "alice"
    assert result.stderr == f"{caller.key_id} for alice, shown only once:\n"


@pytest.mark.usefixtures("gateway")
def test_a_key_is_never_shown_again() -> None:
    created = listed("keys", "create", "alice", "--name", "laptop")
    key = created.pop("key")
    assert listed("keys", "list", "alice") == [created]
    assert created["name"] == "laptop"
    assert created["state"] == "active"
    for output in (run("keys", "list", "alice").output, run("keys", "revoke", created["id"]).output):
        assert key not in output


def test_an_expiring_key_shows_its_expiry_and_expires(gateway: Administered) -> None:
    key = run("keys", "create", "alice", "--expires", "2100-12-31").stdout.strip()
    (row,) = listed("keys", "list", "alice")
    assert row["expires_at"] == "2101-01-01T00:00:00Z"
    assert gateway.stores.keys().identify(key, 4_133_980_799) is not None
    assert gateway.stores.keys().identify(key, 4_133_980_800) is None


@pytest.mark.parametrize("name", ["by its id", "by itself"])
def test_a_revoked_key_no_longer_works(gateway: Administered, name: str) -> None:
    created = listed("keys", "create", "alice")
    told = created["id"] if name == "by its id" else created["key"]
    assert f"{created['id']} of alice is revoked since " in run("keys", "revoke", told).stdout
    assert gateway.stores.keys().identify(created["key"], time.time()) is None
    assert listed("keys", "list", "alice")[0]["state"] == "revoked"


def test_a_key_made_by_a_key_shows_its_maker_and_is_revoked_with_it(gateway: Administered) -> None:
    maker = listed("keys", "create", "alice")["id"]
    made = OwnKeys("alice", maker, gateway.stores.keys(), time.time()).make({"name": "laptop"})
    assert {row["id"]: row["made_by"] for row in listed("keys", "list", "alice")} == {
        maker: None,
        made["id"]: maker,
    }
    run("keys", "revoke", maker)
    assert {row["state"] for row in listed("keys", "list", "alice")} == {"revoked"}
    assert gateway.stores.keys().identify(made["value"], time.time()) is None


@pytest.mark.usefixtures("gateway")
def test_a_key_that_does_not_exist_cannot_be_revoked() -> None:
    refused = run("keys", "revoke", "key_0000000000000000", status=1)
    assert refused.stderr == "there is no key with this id: `keys list USER` shows them\n"


@pytest.mark.usefixtures("gateway")
def test_a_user_without_keys_is_not_an_error() -> None:
    assert run("keys", "list", "nobody").stdout == "nobody has no keys\n"
    assert listed("keys", "list", "nobody") == []


@pytest.mark.usefixtures("gateway")
def test_the_names_of_keys_are_printed_as_they_are() -> None:
    run("keys", "create", "alice", "--name", "[red]laptop[/red] [0]")
    assert "[red]laptop[/red] [0]" in run("keys", "list", "alice").stdout
    assert "printable" in run("keys", "create", "alice", "--name", "a\x1b[2Jb", status=1).stderr


@pytest.mark.usefixtures("here")
def test_the_first_key_of_an_empty_gateway_can_be_made_on_its_machine() -> None:
    assert listed("users", "list") == []
    run("keys", "create", "alice")
    assert [row["user"] for row in listed("users", "list")] == ["alice"]
