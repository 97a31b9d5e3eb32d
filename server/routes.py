"""The routes of every function in one table, and the route of a request as API Gateway finds it."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import unquote

from functions.agents import app as agents
from functions.keys import app as keys
from functions.models import app as models
from functions.site import app as site
from functions.transcribe import app as transcribe
from functions.uploads import app as uploads
from functions.usage import app as usage
from gateway.http import Route, path_pattern

ROUTES = (
    *agents.ROUTES,
    *keys.ROUTES,
    *models.ROUTES,
    *site.ROUTES,
    *transcribe.ROUTES,
    *uploads.ROUTES,
    *usage.ROUTES,
)
# Every other route needs one.
WITHOUT_KEY = frozenset(route.path for route in site.ROUTES)


@dataclass(frozen=True, slots=True)
class Resource:
    """A path of the API with its routes by method."""

    path: str
    methods: Mapping[str, Route]
    needs_key: bool
    pattern: re.Pattern[str]

    def parameters(self, path: str) -> dict[str, str]:
        """The parameters in a path as it was sent, percent-decoded once."""
        match = self.pattern.fullmatch(_without_slash(path))
        return {name: unquote(value) for name, value in match.groupdict().items()} if match else {}


class Resources:
    """All paths of the API."""

    def __init__(self, routes: Iterable[Route] = ROUTES, without_key: frozenset[str] = WITHOUT_KEY) -> None:
        by_path: dict[str, dict[str, Route]] = {}
        for route in routes:
            by_path.setdefault(route.path, {})[route.method] = route
        resources = [
            Resource(path, by_path[path], path not in without_key, path_pattern(path))
            for path in sorted(by_path, key=_generality)
        ]
        self._literal = {each.path: each for each in resources if "{" not in each.path}
        self._others = [each for each in resources if "{" in each.path]

    def find(self, path: str) -> Resource | None:
        """The most literal resource of a path as it was sent. A trailing slash makes no difference."""
        path = _without_slash(path)
        found = self._literal.get(path)
        if found is not None:
            return found
        return next((each for each in self._others if each.pattern.fullmatch(path)), None)


def _without_slash(path: str) -> str:
    return path.removesuffix("/") or "/"


def _generality(path: str) -> list[int]:
    """Sorts literal segments before parameters before greedy ones, from the left."""
    return [
        2 if segment.endswith("+}") else 1 if segment.startswith("{") else 0 for segment in path.split("/")
    ]
