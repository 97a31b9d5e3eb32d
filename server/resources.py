"""Finds a path's route as API Gateway does: first the most literal resource, then its method."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import unquote

from server.template import Route

_PARAMETER = re.compile(r"\{(\w+)(\+?)\}")


@dataclass(frozen=True)
class Resource:
    """A path of the API with its methods."""

    path: str
    methods: Mapping[str, Route]
    pattern: re.Pattern[str]

    def route(self, method: str) -> Route | None:
        """The route of a method, if the resource has one."""
        return self.methods.get(method) or self.methods.get("ANY")

    def parameters(self, path: str) -> dict[str, str]:
        """The path's parameters, percent-decoded once."""
        match = self.pattern.fullmatch(path)
        return {name: unquote(value) for name, value in match.groupdict().items()} if match else {}


class Resources:
    """Every resource of the API."""

    def __init__(self, routes: Iterable[Route]) -> None:
        by_path: dict[str, dict[str, Route]] = {}
        for route in routes:
            by_path.setdefault(route.path, {})[route.method] = route
        paths = sorted(by_path, key=_generality)
        self._resources = [Resource(path, by_path[path], _pattern(path)) for path in paths]

    def find(self, path: str) -> Resource | None:
        """The resource of an encoded path as received; a trailing slash makes no difference."""
        path = path.removesuffix("/") or "/"
        return next((resource for resource in self._resources if resource.pattern.fullmatch(path)), None)


def _generality(path: str) -> list[int]:
    """Sorts literal segments before parameters before greedy ones, from the left."""
    return [
        2 if segment.endswith("+}") else 1 if segment.startswith("{") else 0 for segment in path.split("/")
    ]


def _pattern(path: str) -> re.Pattern[str]:
    parts: list[str] = []
    end = 0
    for match in _PARAMETER.finditer(path):
        name, greedy = match.groups()
        parts.append(re.escape(path[end : match.start()]))
        parts.append(f"(?P<{name}>{'.+' if greedy else '[^/]+'})")
        end = match.end()
    return re.compile("".join(parts) + re.escape(path[end:]))
