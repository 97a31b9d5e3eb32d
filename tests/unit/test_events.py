"""The cases in events/ and their environment match the template."""

import json
from pathlib import Path
from typing import Any

import pytest

from local.embedded_aws import HOST_OF_CONTAINERS
from local.run import USERS
from local.sam_local import PORT
from server.template import Template

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


def test_env_json_names_the_embedded_aws_resources_as_a_container_sees_them() -> None:
    endpoint = f"http://{HOST_OF_CONTAINERS}:{PORT}"
    functions = Template(endpoint=endpoint, parameters={"AllowPrivateProviders": "true"}).functions()
    declared = {name: value for each in functions.values() for name, value in each.environment.items()}
    given = load(EVENTS / "env.json")["Parameters"]
    assert given == {**{name: declared[name] for name in given}, "AWS_ENDPOINT_URL": endpoint}
    places = ("_TABLE", "_BUCKET", "_QUEUE_URL", "_KEY_ID")
    assert {name for name in declared if name.endswith(places)} <= set(given)
