"""The cases in events/ and their environment match the template."""

import json
from pathlib import Path
from typing import Any

import pytest

from local.sam_local import HOST_OF_CONTAINERS, PORT
from local.users import USERS
from tests.template import Template

EVENTS = Path(__file__).resolve().parents[2] / "events"
CASES = sorted(path for path in EVENTS.glob("*.json") if path.name != "env.json")


def load(path: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(path.read_text())
    return loaded


@pytest.mark.parametrize(
    "path", [path for path in CASES if "httpMethod" in load(path)], ids=lambda path: path.stem
)
def test_an_api_event_matches_a_route_of_the_template_and_names_the_caller(path: Path) -> None:
    event = load(path)
    routes = {(route.method, route.path): route.authorized for route in Template().routes()}
    authorized = routes[event["httpMethod"], event["resource"]]
    assert ("authorizer" in event["requestContext"]) is authorized
    assert event["multiValueHeaders"] == {name: [value] for name, value in event["headers"].items()}


def test_the_known_key_is_that_of_the_local_run() -> None:
    token = load(EVENTS / "authorizer_known_key.json")["authorizationToken"]
    assert token == f"Bearer {USERS['alice']}"


def test_env_json_names_every_place_that_the_functions_keep_something_in() -> None:
    declared = {name for each in Template().functions().values() for name in each.environment}
    given = load(EVENTS / "env.json")["Parameters"]
    places = ("_TABLE", "_BUCKET", "_QUEUE_URL", "_KEY_ID")
    assert given.keys() <= declared
    assert {name for name in declared if name.endswith(places)} <= given.keys()


def test_env_json_calls_the_emulator_as_a_container_sees_it() -> None:
    endpoint = f"http://{HOST_OF_CONTAINERS}:{PORT}"
    given = load(EVENTS / "env.json")["Parameters"]
    assert given["AWS_ENDPOINT_URL"] == endpoint
    assert given["USAGE_QUEUE_URL"].startswith(f"{endpoint}/")
