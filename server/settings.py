"""The server's settings, read from the environment once."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

# Unlike on AWS: no integration timeout, and one request carries 25 MB of audio.
DEFAULTS = {
    "REQUEST_BUDGET_SECONDS": "600",
    "SINGLE_REQUEST_BYTES": "26214400",
    "POWERTOOLS_SERVICE_NAME": "stt-gateway",
}
HELP = """\
Settings, from the environment:

  BIND                      address to listen on (127.0.0.1; 0.0.0.0 is every one)
  PORT                      port to listen on (3000)
  DATA_DIR                  where keys, providers, usage and uploads are kept (data)
  WORKERS                   processes that share the port and the data, for more cores (1)
  PUBLIC_URL                the address that callers use, if it is not this machine's
  CORS_ORIGINS              origins whose web pages may call, separated by commas
  ALLOW_PRIVATE_PROVIDERS   true: providers may have private addresses and plain http (false)
  REQUEST_BUDGET_SECONDS    the most that one request may take (600)
  DRAIN_SECONDS             how long SIGTERM waits for requests in flight (60)
  MAX_AUDIO_MEGABYTES       memory for the audio of requests in progress; more are asked to retry later (2048)
  METRICS_TOKEN             GET /metrics answers to this bearer token (without one, it is no route)
  METRICS_PORT              GET /metrics without a token, on 127.0.0.1 at this port
  PROVIDER_ONLINE_SECONDS, MAX_ATTEMPTS, MAX_AUDIO_SECONDS, MAX_IN_FLIGHT_PER_USER, REQUIRE_MEASURED_AUDIO,
  USAGE_RETENTION_DAYS, PROVIDER_CA_BUNDLE, LOG_LEVEL: as in template.yaml
"""


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """How one server runs. Times are in seconds; port 0 takes any free one."""

    bind: str
    port: int
    data_dir: Path
    workers: int
    budget_seconds: float
    drain_seconds: float
    max_audio_megabytes: int
    metrics_token: str
    metrics_port: int | None

    @classmethod
    def read(cls, env: Mapping[str, str] = os.environ) -> Self:
        """Read what `HELP` lists. Raises ValueError, which names the variable and what it accepts."""
        metrics_port = env.get("METRICS_PORT", "").strip()
        return cls(
            bind=env.get("BIND", "").strip() or "127.0.0.1",
            port=_whole(env, "PORT", 3000, 0, 65535),
            data_dir=Path(env.get("DATA_DIR", "").strip() or "data"),
            workers=_whole(env, "WORKERS", 1, 1, 64),
            budget_seconds=_whole(env, "REQUEST_BUDGET_SECONDS", 600, 1, 86_400),
            drain_seconds=_whole(env, "DRAIN_SECONDS", 60, 0, 86_400),
            # The least admits one request of the largest size.
            max_audio_megabytes=_whole(env, "MAX_AUDIO_MEGABYTES", 2048, 64, 1_048_576),
            metrics_token=env.get("METRICS_TOKEN", "").strip(),
            metrics_port=_whole(env, "METRICS_PORT", 0, 0, 65535) if metrics_port else None,
        )


def _whole(env: Mapping[str, str], name: str, default: int, minimum: int, maximum: int) -> int:
    text = env.get(name, "").strip() or str(default)
    if not (text.isascii() and text.isdecimal() and minimum <= int(text[:9]) <= maximum):
        raise ValueError(f"{name} must be a whole number from {minimum} to {maximum}.")
    return int(text)
