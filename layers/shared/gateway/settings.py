"""Settings from the environment, read once and lazily, with one frozen type per use."""

import os
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Self

# An id of a gateway, in settings and in requests.
GATEWAY_ID = "[0-9a-f-]{16,64}"


def _flag(env: Mapping[str, str], name: str) -> bool:
    return env.get(name, "").strip().lower() == "true"


def _number(env: Mapping[str, str], name: str, default: float, *, minimum: float = 0.0) -> float:
    """Read a number. Raises ValueError, which names the variable, when it is not one or is below `minimum`."""
    text = env.get(name, "").strip() or str(default)
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not minimum <= value < float("inf"):
        raise ValueError(f"{name} must be a number of at least {minimum:g}")
    return value


def _gateway_id(env: Mapping[str, str]) -> str:
    """Read GATEWAY_ID. Raises ValueError when it has another form than the ids that are looked for in requests."""
    text = env.get("GATEWAY_ID", "").strip().lower()
    if text and not re.fullmatch(GATEWAY_ID, text):
        raise ValueError("GATEWAY_ID must be 16 to 64 characters of 0-9, a-f and '-', such as a UUID")
    return text or _process_id()


@cache
def _process_id() -> str:
    """The default for GATEWAY_ID, which detects only this process's own loops."""
    return secrets.token_hex(16)


@dataclass(frozen=True, slots=True)
class CatalogSettings:
    """When a deployment counts as online and may be dialled."""

    provider_online_seconds: float
    allow_private: bool
    # The URL and host name of this gateway, if they differ from the API's own.
    public_url: str = ""
    domain_name: str = ""
    # All own hosts, in the format of `addresses.is_own`.
    own_hosts: frozenset[str] = frozenset()

    @classmethod
    def read(cls, env: Mapping[str, str] = os.environ) -> Self:
        """Read PROVIDER_ONLINE_SECONDS, ALLOW_PRIVATE_PROVIDERS, PUBLIC_URL and DOMAIN_NAME."""
        return cls(
            provider_online_seconds=_number(env, "PROVIDER_ONLINE_SECONDS", 120),
            allow_private=_flag(env, "ALLOW_PRIVATE_PROVIDERS"),
            public_url=env.get("PUBLIC_URL", "").strip(),
            domain_name=env.get("DOMAIN_NAME", "").strip(),
        )

    def reached_at(self, hosts: frozenset[str]) -> Self:
        """Return these settings with `hosts` added to the gateway's own."""
        return replace(self, own_hosts=self.own_hosts | hosts)


@dataclass(frozen=True, slots=True)
class TranscribeSettings:
    """Limits of one transcription request. Times are in seconds."""

    catalog: CatalogSettings
    request_budget_seconds: float
    max_attempts: int
    max_audio_seconds: float
    require_measured_audio: bool
    provider_ca_bundle: str | None
    max_in_flight_per_user: int  # 0 means no limit
    gateway_id: str  # identifies this gateway in outgoing calls, to detect loops

    @classmethod
    def read(cls, env: Mapping[str, str] = os.environ) -> Self:
        """Read the variables that template.yaml declares on TranscribeFunction."""
        return cls(
            catalog=CatalogSettings.read(env),
            request_budget_seconds=_number(env, "REQUEST_BUDGET_SECONDS", 600, minimum=0.1),
            max_attempts=int(_number(env, "MAX_ATTEMPTS", 3, minimum=1)),
            max_audio_seconds=_number(env, "MAX_AUDIO_SECONDS", 14400, minimum=1),
            require_measured_audio=_flag(env, "REQUIRE_MEASURED_AUDIO"),
            provider_ca_bundle=env.get("PROVIDER_CA_BUNDLE") or None,
            max_in_flight_per_user=int(_number(env, "MAX_IN_FLIGHT_PER_USER", 50)),
            gateway_id=_gateway_id(env),
        )


@dataclass(frozen=True, slots=True)
class RequestSettings:
    """How many bytes of audio one request carries here, in a form or as one part of an upload."""

    single_request_bytes: int

    @classmethod
    def read(cls, env: Mapping[str, str] = os.environ) -> Self:
        """Read SINGLE_REQUEST_BYTES."""
        return cls(single_request_bytes=int(_number(env, "SINGLE_REQUEST_BYTES", 4_400_000, minimum=1)))


@dataclass(frozen=True, slots=True)
class UsageSettings:
    """How many days usage records are kept."""

    retention_days: int

    @classmethod
    def read(cls, env: Mapping[str, str] = os.environ) -> Self:
        """Read USAGE_RETENTION_DAYS."""
        return cls(retention_days=int(_number(env, "USAGE_RETENTION_DAYS", 400, minimum=1)))


@cache
def catalog_settings() -> CatalogSettings:
    """Read at first use, never at import."""
    return CatalogSettings.read()


@cache
def transcribe_settings() -> TranscribeSettings:
    """Read at first use, never at import."""
    return TranscribeSettings.read()


@cache
def request_settings() -> RequestSettings:
    """Read at first use, never at import."""
    return RequestSettings.read()


@cache
def usage_settings() -> UsageSettings:
    """Read at first use, never at import."""
    return UsageSettings.read()
