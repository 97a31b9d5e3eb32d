"""A manifest on disk: read, validated, and its problems told by line."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from admin.yaml_lines import Document, NotYaml, read_yaml
from gateway import manifest
from gateway.manifest import InvalidManifestError, Manifest

MAX_REPORTED = 100


class Unusable(Exception):
    """A file that holds no valid manifest; `lines` is what to tell, `name:line: path: problem` each."""

    def __init__(self, lines: list[str]) -> None:
        super().__init__("\n".join(lines))
        self.lines = lines


@dataclass(frozen=True)
class ManifestFile:
    """A valid manifest, with `parsed`, which is what a gateway is sent: credentials included."""

    name: str
    manifest: Manifest
    parsed: dict[str, Any]
    document: Document

    def locate(self, problems: Iterable[str]) -> list[str]:
        """A gateway's problems (`path: message`) with the lines of this file."""
        split = (problem.partition(": ") for problem in problems)
        return _told(
            self.name, [(self.document.line_of(path), f"{path}{sep}{text}") for path, sep, text in split]
        )


def read_file(path: Path) -> ManifestFile:
    """Raises Unusable with everything that is wrong, in the order of the lines."""
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
        # A place whose notation is already wrong is not told twice.
        fresh = {where: told for where, told in invalid.found.items() if where not in document.problems}
        found += [(document.line_of(where), f"{where}: {told}") for where, told in fresh.items()]
        raise Unusable(_told(name, found)) from None
    if found:
        raise Unusable(_told(name, found))
    return ManifestFile(name, valid, document.value, document)


def _read_text(path: Path, name: str) -> str:
    try:
        with path.open("rb") as file:
            # Never more than the limit into memory: the parser is slow, and /dev/zero is endless.
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
