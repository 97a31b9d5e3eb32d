"""Tell other programs of this machine that a gateway runs on a data directory, where, and with which settings."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FILE = "server.json"
# What decides whether a provider is online and may be dialled (`CatalogSettings.read`).
_SETTINGS = ("PROVIDER_ONLINE_SECONDS", "ALLOW_PRIVATE_PROVIDERS", "PUBLIC_URL", "DOMAIN_NAME")


@dataclass(frozen=True, slots=True)
class Presence:
    """A running gateway: its process id, its address on this machine, and its settings as environment variables."""

    pid: int
    url: str
    settings: Mapping[str, str]


def announce(data_dir: Path, url: str, environment: Mapping[str, str]) -> None:
    """Write this process, its `url` and its settings to the data directory. Raises OSError."""
    settings = {name: environment[name] for name in _SETTINGS if name in environment}
    told = {"pid": os.getpid(), "url": url, "settings": settings}
    written = data_dir / f"{FILE}.{os.getpid()}"
    # Only its owner may change it: commands send keys to the address in it.
    written.touch(mode=0o600)
    written.write_text(json.dumps(told), encoding="utf-8")
    # Readers see the old file or the new one, never half of it.
    written.replace(data_dir / FILE)


def withdraw(data_dir: Path) -> None:
    """Remove what this process announced; keep what another has announced since."""
    if (found := _read(data_dir)) and found.pid == os.getpid():
        (data_dir / FILE).unlink(missing_ok=True)


def find(data_dir: Path) -> Presence | None:
    """The gateway that runs on the data directory; None when none does. A killed one may have left its file."""
    found = _read(data_dir)
    return found if found and _is_alive(found.pid) else None


def _read(data_dir: Path) -> Presence | None:
    try:
        told: Any = json.loads((data_dir / FILE).read_text(encoding="utf-8"))
        return Presence(int(told["pid"]), str(told["url"]), dict(told["settings"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _is_alive(pid: int) -> bool:
    if pid <= 0:  # those name groups of processes
        return False
    try:
        os.kill(pid, 0)
    except PermissionError:  # it runs as another user
        return True
    except (OSError, OverflowError):
        return False
    return True
