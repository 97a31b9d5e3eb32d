"""`python -m local.agent`: publishes the local recogniser as alice's provider, by the operators' own command."""

import argparse
import os
from pathlib import Path
from typing import Any

import yaml

from server.lifeline import end_with_parent

PROVIDER = "local"
MODEL = "pocketsphinx/en-us"
MAX_BEAT_SECONDS = 30.0


def manifest(recogniser_url: str) -> dict[str, Any]:
    """The provider's manifest."""
    service = {
        "name": "pocketsphinx",
        "type": "stt",
        "engine": "other",
        "url": recogniser_url,
        "features": ["timestamps"],
        "access": "authenticated",
        "models": [{"id": MODEL, "name": "PocketSphinx, US English"}],
    }
    return {
        "schema_version": 1,
        "agent": {"name": PROVIDER},
        "hosts": [{"id": "this-machine", "services": [service]}],
    }


def main() -> None:
    """Writes and publishes the manifest, and sends heartbeats until stopped. The key is in STT_GATEWAY_KEY."""
    from admin.cli import app  # not at the top: `local.run` imports this module, but not the command

    parser = argparse.ArgumentParser(prog="local.agent", description=__doc__)
    parser.add_argument("--gateway", required=True, help="base URL of the gateway, without /v1")
    parser.add_argument("--recogniser", required=True, help="base URL of the recogniser, with /v1")
    parser.add_argument("--manifest", required=True, type=Path, help="where the manifest is written")
    parser.add_argument("--lifeline", action="store_true", help="end when standard input ends")
    arguments = parser.parse_args()
    if arguments.lifeline:
        end_with_parent()
    arguments.manifest.write_text(yaml.safe_dump(manifest(arguments.recogniser), sort_keys=False))
    every = min(MAX_BEAT_SECONDS, float(os.environ["PROVIDER_ONLINE_SECONDS"]) / 3)
    app(
        [
            "publish",
            str(arguments.manifest),
            f"--gateway={arguments.gateway}",
            "--heartbeat",
            f"--every={every}",
        ],
        prog_name="gateway-admin",
    )


if __name__ == "__main__":
    main()
