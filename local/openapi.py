"""Converts openapi.yaml, the source, to the JSON that the site function serves."""

import json
from pathlib import Path

import yaml

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "openapi.yaml"
SERVED = ROOT / "functions" / "site" / "openapi.json"


def as_json() -> str:
    """The document as one line that ends in a line break."""
    document = yaml.safe_load(SOURCE.read_text("utf-8"))
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")) + "\n"


if __name__ == "__main__":
    SERVED.write_text(as_json(), "utf-8")
