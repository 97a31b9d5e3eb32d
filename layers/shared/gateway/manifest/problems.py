"""What is wrong with a manifest, each problem under the path it is found at."""

import json
import re
from collections.abc import Mapping

MAX_REPORTED = 100
# A path repeats its parents' keys: without a bound a hundred lines of 60 KB could come of a small document.
_MAX_PATH = 500
_PLAIN_KEY = re.compile(r"[A-Za-z0-9_-]{1,40}")
_DIGITS = re.compile(r"([0-9]+)")


class InvalidManifestError(Exception):
    """A manifest that is not accepted, with everything that is wrong with it.

    `problems` is for people: at most 100 lines, each starting with its path
    (`hosts[0].services[1].engine: ...`) or the first 500 characters of it, then one line that counts the
    rest. `found` is every problem by path, for whoever needs to point at it. No message repeats a value of
    the manifest: it could be a secret in the wrong place.
    """

    def __init__(self, found: Mapping[str, str]) -> None:
        self.found = {path: found[path] for path in sorted(found, key=_natural)}
        lines = [f"{_cut(path)}: {message}" for path, message in self.found.items()]
        self.problems: list[str] = lines[:MAX_REPORTED]
        if len(lines) > MAX_REPORTED:
            self.problems.append(f"... and {len(lines) - MAX_REPORTED} more")
        super().__init__("; ".join(self.problems))


class Problems:
    """Collects problems; the first one found at a path is the one that is told."""

    def __init__(self) -> None:
        self.found: dict[str, str] = {}

    def add(self, path: str, message: str) -> None:
        self.found.setdefault(path, message)


def join(path: str, key: object) -> str:
    """The path of an object's entry; a key that is not a plain word is quoted and cut at 40 characters."""
    if isinstance(key, str) and _PLAIN_KEY.fullmatch(key):
        return f"{path}.{key}" if path else key
    return f"{path}[{json.dumps(str(key)[:40])}]"


def kind(value: object) -> str:
    """What a value is, in the words of JSON; other types (YAML has dates) by their own name."""
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
    """Sorts hosts[2] before hosts[10]; odd positions are the numbers."""
    return [int(part) if odd % 2 else part for odd, part in enumerate(_DIGITS.split(path))]
