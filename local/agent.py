"""`python -m local.agent`: publishes the local recogniser as alice's provider, the way any operator's agent does."""

import argparse
import json
import logging
import time
import urllib.error
import urllib.request
from typing import Any

import yaml

from local.lifeline import end_with_parent

logger = logging.getLogger(__name__)

PROVIDER = "local"
MODEL = "pocketsphinx/en-us"
RETRY_SECONDS = 0.5
MAX_BEAT_SECONDS = 30.0


def manifest(recogniser_url: str) -> dict[str, Any]:
    """What the provider serves."""
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


class Agent:
    """Speaks the agent's three calls to a gateway."""

    def __init__(self, gateway_url: str, key: str) -> None:
        self._url = f"{gateway_url}/api/inference/agent"
        self._key = key

    def publish(self, document: dict[str, Any]) -> None:
        """Registers and uploads the manifest. Raises urllib.error.URLError."""
        self._call("POST", "register", {"name": PROVIDER, "tailnet_hostname": "", "agent_port": 0})
        self._call("PUT", "manifest", {"raw_yaml": yaml.safe_dump(document), "parsed": document})

    def beat(self) -> None:
        """One heartbeat. Raises urllib.error.URLError."""
        self._call("POST", "heartbeat", {"name": PROVIDER})

    def _call(self, method: str, route: str, body: dict[str, Any]) -> None:
        request = urllib.request.Request(  # noqa: S310 - the gateway's own address
            f"{self._url}/{route}/",
            method=method,
            data=json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {self._key}", "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
            answer.read()


def run(agent: Agent, document: dict[str, Any], beat_seconds: float) -> None:
    """Publishes, then beats for ever; a gateway that is not there yet, or forgot us, is tried again."""
    published = False
    while True:
        try:
            if published:
                time.sleep(beat_seconds)
                agent.beat()
            else:
                agent.publish(document)
                published = True
        except urllib.error.HTTPError as error:
            logger.error(
                "the gateway answered %d: %s", error.code, error.read(2000).decode("utf-8", "replace")
            )
            published = False
            time.sleep(RETRY_SECONDS)
        except OSError as error:
            logger.warning("the gateway does not answer: %s", error)
            time.sleep(RETRY_SECONDS)


def main() -> None:
    """Runs until it is told to stop."""
    parser = argparse.ArgumentParser(prog="local.agent", description=__doc__)
    parser.add_argument("--gateway", required=True, help="base URL of the gateway, without /v1")
    parser.add_argument("--key", required=True)
    parser.add_argument("--recogniser", required=True, help="base URL of the recogniser, with /v1")
    parser.add_argument("--online-seconds", type=float, default=120.0)
    parser.add_argument("--lifeline", action="store_true", help="end when standard input ends")
    arguments = parser.parse_args()
    if arguments.lifeline:
        end_with_parent()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    beat_seconds = min(MAX_BEAT_SECONDS, arguments.online_seconds / 3)
    run(Agent(arguments.gateway, arguments.key), manifest(arguments.recogniser), beat_seconds)


if __name__ == "__main__":
    main()
