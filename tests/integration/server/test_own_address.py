"""A server that is told no public address knows its own."""

import json
from collections.abc import Iterator

import pytest

from server.sqlite.stores import open_stores
from tests.running import Server, start

KEY = "sk-test-operator-0000000000"
AUTHORIZED = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}
AGENT = "/api/inference/agent"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    directory = tmp_path_factory.mktemp("server")
    stores = open_stores(directory / "data")
    stores.keys().create("operator", key=KEY)
    stores.close()
    running = start(
        "server",
        [],
        directory / "server.log",
        DATA_DIR=str(directory / "data"),
        ALLOW_PRIVATE_PROVIDERS="true",
        PUBLIC_URL="https://stt.example.com",
    )
    yield running
    assert running.end() == 0


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "[::1]", "0.0.0.0", "127.0.0.2", "[::ffff:127.0.0.1]", "a.localhost."]
)
def test_a_provider_with_the_servers_own_address_is_not_called(server: Server, host: str) -> None:
    url = f"http://{host}:{server.port}/v1"
    service = {
        "name": "asr",
        "type": "stt",
        "engine": "other",
        "url": url,
        "models": [{"id": "m", "name": "M"}],
    }
    manifest = {"schema_version": 1, "agent": {"name": "p"}, "hosts": [{"id": "h", "services": [service]}]}
    assert server.call("POST", f"{AGENT}/register", '{"name": "p"}', AUTHORIZED).status == 200
    assert server.call("PUT", f"{AGENT}/manifest", json.dumps({"parsed": manifest}), AUTHORIZED).status == 200
    listed = server.call("GET", "/v1/providers", headers=AUTHORIZED).json["data"][0]["services"][0]
    assert not listed["routed"]
    assert "is this gateway itself" in listed["reason"]
