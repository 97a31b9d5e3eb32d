"""Writes the site function's openapi.yaml as the JSON that it serves: at `sam build` and at `make run`."""

import json
import os
import sys
import tempfile
from pathlib import Path

import yaml

SOURCE = Path(__file__).parent / "site" / "openapi.yaml"
SERVED = SOURCE.with_suffix(".json")


def as_json() -> str:
    """The document as one line, ending in a line break. The same source gives the same bytes."""
    document = yaml.safe_load(SOURCE.read_text("utf-8"))
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")) + "\n"


def write(target: Path = SERVED) -> None:
    """Replaces the file in one step, so that no process ever reads half a document."""
    descriptor, name = tempfile.mkstemp(dir=target.parent)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(as_json())
    Path(name).chmod(0o644)  # mkstemp leaves the file to its owner alone; Lambda runs as another user
    Path(name).replace(target)


def write_if_outdated() -> None:
    """Replaces the served file unless it is newer than its source."""
    if not SERVED.exists() or SERVED.stat().st_mtime <= SOURCE.stat().st_mtime:
        write()


if __name__ == "__main__":
    write(Path(sys.argv[1]))
