"""Finding a path's route, and what needs no key."""

from typing import Any

import pytest

from gateway.http import Route
from server.routes import ROUTES, Resources


def nothing(_event: Any, _context: Any) -> Any:
    raise AssertionError("not called")


def resources(*paths: str) -> Resources:
    return Resources([Route("GET", path, nothing) for path in paths], frozenset())


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("/a", "/a"),
        ("/a/", "/a"),
        ("/a/b", "/a/b"),
        ("/a/x", "/a/{name}"),
        ("/a/x/y", "/a/{rest+}"),
        ("/a/x%2Fy", "/a/{name}"),
        ("/b", None),
        ("/", None),
        ("//a", None),
        ("", None),
    ],
)
def test_the_most_literal_resource_wins(path: str, found: str | None) -> None:
    resource = resources("/a/{rest+}", "/a/{name}", "/a/b", "/a").find(path)
    assert (resource.path if resource else None) == found


def test_a_method_missing_from_the_resource_has_no_route() -> None:
    resource = resources("/a").find("/a")
    assert resource is not None
    assert set(resource.methods) == {"GET"}


def test_dots_in_a_path_are_dots() -> None:
    assert resources("/openapi.json").find("/openapiXjson") is None


def test_a_percent_sign_that_encodes_nothing_stays() -> None:
    resource = resources("/a/{name}").find("/a/100%")
    assert resource is not None
    assert resource.parameters("/a/100%") == {"name": "100%"}


def test_every_route_of_the_gateway_is_found_under_its_own_path() -> None:
    found = Resources()
    for route in ROUTES:
        path = route.path.replace("{", "").replace("+}", "").replace("}", "")
        resource = found.find(path)
        assert resource is not None
        assert resource.methods[route.method] == route
