"""`gateway-admin providers` and `unpublish`, on this machine and on AWS."""

import time

import pytest

from tests.integration.admin.conftest import Administered, listed, run


@pytest.fixture
def published(gateway: Administered) -> Administered:
    """alice's provider is online; bob's is offline, and its address is private."""
    for user in ("alice", "bob"):
        gateway.stores.keys().create(user)
    gateway.publish("alice", "home")
    gateway.publish("bob", "attic", time.time() - 1000, "http://192.168.1.9/v1")
    return gateway


@pytest.mark.usefixtures("published")
def test_providers_are_listed_as_their_owners_see_them() -> None:
    home, attic = listed("providers", "list")
    assert (home["owner"], home["online"], home["services"][0]["routed"]) == ("alice", True, True)
    assert (attic["owner"], attic["online"], attic["services"][0]["routed"]) == ("bob", False, False)
    assert "https" in attic["services"][0]["reason"]
    table = run("providers", "list").stdout
    assert "whisper" in table
    assert "alice/home" in table


@pytest.mark.usefixtures("published")
def test_the_providers_of_one_user_can_be_listed_alone() -> None:
    assert [each["name"] for each in listed("providers", "list", "bob")] == ["attic"]
    assert run("providers", "list", "nobody").stdout == "there are no providers\n"


@pytest.mark.usefixtures("published")
def test_one_provider_is_shown_with_its_services_and_why_they_are_not_routed() -> None:
    reason = listed("providers", "list", "bob")[0]["services"][0]["reason"]
    shown = run("providers", "show", "bob/attic").stdout
    assert "asr" in shown
    assert "http://192.168.1.9/v1" in shown
    assert reason in shown
    assert listed("providers", "show", "bob/attic")["name"] == "attic"


@pytest.mark.usefixtures("published")
def test_an_unknown_provider_cannot_be_shown() -> None:
    assert "no provider bob/home" in run("providers", "show", "bob/home", status=1).stderr


def test_an_unpublished_provider_is_gone_and_the_others_stay(published: Administered) -> None:
    assert "bob/attic is removed" in run("unpublish", "bob/attic").stdout
    assert published.stores.providers().provider("bob", "attic") is None
    assert published.stores.providers().provider("alice", "home") is not None
    assert "no provider bob/attic" in run("unpublish", "bob/attic", status=1).stderr


@pytest.mark.parametrize("name", ["attic", "bob/", "/attic", "bob/at/tic", ""])
def test_a_name_without_its_owner_is_refused(name: str) -> None:
    assert "OWNER/NAME" in run("unpublish", name, status=2).stderr
