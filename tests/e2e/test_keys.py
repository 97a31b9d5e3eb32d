"""`/v1/keys` of a running gateway, over HTTP."""

import time
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from tests.running import Gateway

pytestmark = pytest.mark.e2e


class Owner:
    """A caller with one key."""

    def __init__(self, gateway: Gateway, key: str) -> None:
        self.url, self.key = f"{gateway.base_url}/keys", key

    def call(self, method: str, path: str = "", body: Any = None) -> requests.Response:
        headers = {"authorization": f"Bearer {self.key}"}
        return requests.request(method, self.url + path, headers=headers, json=body, timeout=60)

    def make(self, **body: Any) -> dict[str, Any]:
        reply = self.call("POST", body={"name": "e2e"} | body)
        assert reply.status_code == 200, reply.text
        made: dict[str, Any] = reply.json()
        return made


@pytest.fixture
def root(gateway: Gateway) -> Iterator[Owner]:
    """bob, with a key that is revoked in the end with all that it made."""
    bob = Owner(gateway, gateway.keys["bob"])
    made = bob.make()
    yield Owner(gateway, made["value"])
    assert bob.call("DELETE", f"/{made['id']}").status_code == 200


def test_a_made_key_opens_every_route_until_it_is_revoked(gateway: Gateway, root: Owner) -> None:
    made = root.make(expires_at=int(time.time()) + 3600)
    headers = {"authorization": f"Bearer {made['value']}"}
    models = f"{gateway.base_url}/models"
    assert requests.get(models, headers=headers, timeout=60).status_code == 200
    reply = root.call("DELETE", f"/{made['id']}")
    assert reply.json() == {"id": made["id"], "object": "api_key", "deleted": True}
    refused = requests.get(models, headers=headers, timeout=60)
    assert (refused.status_code, refused.json()["error"]["code"]) == (401, "invalid_api_key")


def test_what_a_stolen_key_made_ends_with_it(gateway: Gateway, root: Owner) -> None:
    stolen = root.make()
    survivor = Owner(gateway, Owner(gateway, stolen["value"]).make()["value"])
    assert survivor.call("GET").status_code == 200
    assert root.call("DELETE", f"/{stolen['id']}").status_code == 200
    assert survivor.call("GET").status_code == 401
    assert survivor.call("POST", body={"name": "again"}).status_code == 401


def test_a_list_shows_who_made_a_key_and_no_value(root: Owner) -> None:
    made = root.make()
    listed = root.call("GET")
    (shown,) = (each for each in listed.json()["data"] if each["id"] == made["id"])
    value = made.pop("value")
    assert shown == made
    assert value not in listed.text


def test_another_users_key_is_not_found(gateway: Gateway, root: Owner) -> None:
    made = root.make()
    reply = Owner(gateway, gateway.keys["alice"]).call("DELETE", f"/{made['id']}")
    assert (reply.status_code, reply.json()["error"]["type"]) == (404, "not_found")
    assert Owner(gateway, made["value"]).call("GET").status_code == 200


def logs_of(gateway: Gateway) -> str:
    return "".join(path.read_text(errors="replace") for path in gateway.directory.rglob("*.log"))


def test_no_log_has_a_key(gateway: Gateway, root: Owner) -> None:
    made = root.make()
    refused = Owner(gateway, made["value"]).call("DELETE", f"/{made['value']}")
    assert refused.status_code == 404
    deadline = time.monotonic() + 20
    # A line of the log waits for a moment before it is written.
    while refused.headers["x-request-id"] not in (log := logs_of(gateway)) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert refused.headers["x-request-id"] in log
    assert made["value"] not in log
