"""Reads and validates a manifest on disk; reports problems by line."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from admin.yaml_lines import Document, NotYaml, read_yaml
from gateway import manifest
from gateway.manifest import InvalidManifestError, Manifest

MAX_REPORTED = 100


class Unusable(Exception):
    """The file holds no valid manifest; `lines` are the messages, each `name:line: path: problem`."""

    def __init__(self, lines: list[str]) -> None:
        super().__init__("\n".join(lines))
        self.lines = lines


@dataclass(frozen=True)
class ManifestFile:
    """A valid manifest; `parsed` is what a gateway receives, including credentials."""

    name: str
    manifest: Manifest
    parsed: dict[str, Any]
    document: Document

    def locate(self, problems: Iterable[str]) -> list[str]:
        """Adds this file's lines to a gateway's problems (`path: message`)."""
        split = (problem.partition(": ") for problem in problems)
        return _told(
            self.name, [(self.document.line_of(path), f"{path}{sep}{text}") for path, sep, text in split]
        )


def read_file(path: Path) -> ManifestFile:
    """Raises Unusable with every problem, in line order."""
    name = str(path)
    text = _read_text(path, name)
    try:
        document = read_yaml(text)
    except NotYaml as error:
        raise Unusable([f"{name}:{error.line}: {error}"]) from None
    found = [
        (line, f"{where or 'manifest'}: {message}") for where, (line, message) in document.problems.items()
    ]
    try:
        valid = manifest.validate(document.value)
    except InvalidManifestError as invalid:
        # Do not report a place twice if its notation is already wrong.
        fresh = {where: told for where, told in invalid.found.items() if where not in document.problems}
        found += [(document.line_of(where), f"{where}: {told}") for where, told in fresh.items()]
        raise Unusable(_told(name, found)) from None
    if found:
        raise Unusable(_told(name, found))
    return ManifestFile(name, valid, document.value, document)


def _read_text(path: Path, name: str) -> str:
    try:
        with path.open("rb") as file:
            # Never read more than the limit: the parser is slow, and /dev/zero is endless.
            raw = file.read(manifest.MAX_BYTES + 1)
    except OSError as error:
        raise Unusable([f"{name}: {error.strerror or 'cannot be read'}"]) from None
    if len(raw) > manifest.MAX_BYTES:
        raise Unusable([f"{name}: must be at most {manifest.MAX_BYTES} bytes (64 KiB)"])
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise Unusable([f"{name}:{line}: must be UTF-8 text"]) from None


def _told(name: str, found: list[tuple[int, str]]) -> list[str]:
    lines = [f"{name}:{line}: {message}" for line, message in sorted(found, key=lambda each: each[0])]
    rest = len(lines) - MAX_REPORTED
    return [*lines[:MAX_REPORTED], f"... and {rest} more"] if rest > 0 else lines
