"""The shared samples of known duration; they are next to the repository, not in it."""

import json
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).resolve().parents[4] / "shared" / "audio"


def entries() -> list[dict[str, Any]]:
    """The manifest's entries; none if the folder is missing."""
    manifest = FOLDER / "manifest.json"
    return json.loads(manifest.read_text()) if manifest.is_file() else []


def read(name: str) -> bytes:
    """The bytes of one sample; skips the test if there are none."""
    path = FOLDER / name
    if not path.is_file():
        pytest.skip(f"the samples of known duration are not part of the repository: copy them to {FOLDER}")
    return path.read_bytes()


def tolerance(entry: dict[str, Any]) -> float:
    """Seconds by which a measurement may differ from a full decode, from the samples' README."""
    name = entry["file"]
    if name.startswith("trunc_"):
        return 0.1
    return 0.05 if "liar" in name or "size0" in name or "piped" in name or "live" in name else 0.02
