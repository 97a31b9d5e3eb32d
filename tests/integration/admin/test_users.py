"""`gateway-admin users`, on this machine and on AWS."""

import pytest

from gateway.accounts.keys import PREFERENCES, Limits
from tests.integration.admin.conftest import Administered, listed, run

DEFAULTS = {
    "preference": "any",
    "requests_per_minute": None,
    "audio_seconds_per_day": None,
    "changes_per_minute": 30,
}


@pytest.mark.usefixtures("gateway")
def test_a_user_has_the_defaults_until_something_is_set() -> None:
    assert listed("users", "show", "alice") == {"user": "alice", "active_keys": 0, **DEFAULTS}


def test_a_setting_is_kept_when_another_is_changed(gateway: Administered) -> None:
    run("users", "set", "alice", "--requests-per-minute", "60", "--audio-seconds-per-day", "3600")
    run("users", "set", "alice", "--preference", "prefer_own")
    assert gateway.stores.keys().user("alice") == ("prefer_own", Limits(60, 3600))
    run("users", "set", "alice", "--requests-per-minute", "none")
    assert gateway.stores.keys().user("alice") == ("prefer_own", Limits(None, 3600))


@pytest.mark.parametrize("preference", PREFERENCES)
def test_every_preference_can_be_set(gateway: Administered, preference: str) -> None:
    assert preference in run("users", "set", "alice", "--preference", preference).stdout
    assert gateway.stores.keys().user("alice")[0] == preference


@pytest.mark.usefixtures("gateway")
def test_everyone_with_a_key_or_settings_is_listed_once() -> None:
    revoked = listed("keys", "create", "carol")["id"]
    run("keys", "create", "carol")
    run("keys", "revoke", revoked)
    run("users", "set", "carol", "--preference", "only_own")
    run("users", "set", "alice", "--changes-per-minute", "none")
    alice, carol = listed("users", "list")
    assert alice == {"user": "alice", "active_keys": 0, **DEFAULTS, "changes_per_minute": None}
    assert carol == {"user": "carol", "active_keys": 1, **DEFAULTS, "preference": "only_own"}


@pytest.mark.usefixtures("gateway")
def test_a_gateway_without_users_is_not_an_error() -> None:
    assert run("users", "list").stdout == "there are no users\n"
