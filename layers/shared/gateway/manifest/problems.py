"""Collect a manifest's problems, each under its path."""

import json
import re
from collections.abc import Mapping

MAX_REPORTED = 100
# A path repeats its parents' keys: without a limit, a small document could cause a hundred lines of 60 KB.
_MAX_PATH = 500
_PLAIN_KEY = re.compile(r"[A-Za-z0-9_-]{1,40}")
_DIGITS = re.compile(r"([0-9]+)")


class InvalidManifestError(Exception):
    """An invalid manifest, with all its problems.

    `problems` is for people: at most 100 lines, each starting with the first 500 characters of its path
    (`hosts[0].services[1].engine: ...`), then one line that counts the rest. `found` holds every problem by path.
    No message repeats a value of the manifest, which could be a misplaced secret.
    """

    def __init__(self, found: Mapping[str, str]) -> None:
        self.found = {path: found[path] for path in sorted(found, key=_natural)}
        lines = [f"{_cut(path)}: {message}" for path, message in self.found.items()]
        self.problems: list[str] = lines[:MAX_REPORTED]
        if len(lines) > MAX_REPORTED:
            self.problems.append(f"... and {len(lines) - MAX_REPORTED} more")
        super().__init__("; ".join(self.problems))


class Problems:
    """Collects problems, and keeps the first one at each path."""

    def __init__(self) -> None:
        self.found: dict[str, str] = {}

    def add(self, path: str, message: str) -> None:
        self.found.setdefault(path, message)


def join(path: str, key: object) -> str:
    """The path of an object's entry. Keys other than plain words are quoted and cut at 40 characters."""
    if isinstance(key, str) and _PLAIN_KEY.fullmatch(key):
        return f"{path}.{key}" if path else key
    return f"{path}[{json.dumps(str(key)[:40])}]"


def kind(value: object) -> str:
    """The value's type in JSON's words; other types, such as YAML's dates, by name."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true or false"
    names = ((int | float, "a number"), (str, "text"), (list, "a list"), (dict, "an object"))
    for types, name in names:
        if isinstance(value, types):
            return name
    return f"a {type(value).__name__}"


def _cut(path: str) -> str:
    return path if len(path) <= _MAX_PATH else f"{path[: _MAX_PATH - 3]}..."


def _natural(path: str) -> list[str | int]:
    """A sort key that puts hosts[2] before hosts[10]. Odd positions are numbers."""
    return [int(part) if odd % 2 else part for odd, part in enumerate(_DIGITS.split(path))]
