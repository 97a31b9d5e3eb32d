"""API keys: their form, their hash, and the identity that one stands for."""

import hashlib
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

PREFERENCES = ("any", "prefer_own", "only_own")
_KEY = re.compile(r"sk-[A-Za-z0-9_-]{16,253}")


def generate_key() -> str:
    """A new key with 256 bits of randomness. Shown once, stored only as its hash."""
    return "sk-stt-" + secrets.token_urlsafe(32)


def is_wellformed(key: str) -> bool:
    """Whether this could be a key at all; what could not costs no table read."""
    return _KEY.fullmatch(key) is not None


def hash_key(key: str) -> str:
    """SHA-256 in hex. Keys are random, so no salt and no slow hash is needed."""
    return hashlib.sha256(key.encode()).hexdigest()


def key_id_of(key_hash: str) -> str:
    """The public name of a key, from its hash: 64 bits of it, enough to be unique and no help in guessing."""
    return "key_" + key_hash[:16]


# Register, manifest and PATCH: what an operator changes, not heartbeats (contract section 5).
CHANGES_PER_MINUTE = 30


@dataclass(frozen=True, slots=True)
class Limits:
    """What a user may use; None is no limit."""

    requests_per_minute: int | None = None
    audio_seconds_per_day: int | None = None
    changes_per_minute: int | None = CHANGES_PER_MINUTE


@dataclass(frozen=True, slots=True)
class Caller:
    """Whom a valid key stands for."""

    user_id: str
    key_id: str
    preference: str = "any"
    limits: Limits = Limits()

    def to_context(self) -> dict[str, str]:
        """As an API Gateway authorizer context, whose values are strings."""
        return {
            "user_id": self.user_id,
            "key_id": self.key_id,
            "preference": self.preference,
            "requests_per_minute": str(self.limits.requests_per_minute or ""),
            "audio_seconds_per_day": str(self.limits.audio_seconds_per_day or ""),
            "changes_per_minute": str(self.limits.changes_per_minute or ""),
        }

    @classmethod
    def from_context(cls, context: Mapping[str, Any]) -> Self:
        """The reverse of `to_context`; raises KeyError when no authorizer ran, a defect of the deployment."""

        def limit(name: str) -> int | None:
            text = str(context.get(name) or "")
            return int(text) if text else None

        return cls(
            user_id=str(context["user_id"]),
            key_id=str(context["key_id"]),
            preference=str(context.get("preference") or "any"),
            limits=Limits(
                limit("requests_per_minute"),
                limit("audio_seconds_per_day"),
                # A context that was cached before this limit existed does not have it.
                limit("changes_per_minute") if "changes_per_minute" in context else CHANGES_PER_MINUTE,
            ),
        )


@dataclass(frozen=True, slots=True)
class KeyRecord:
    """One stored key. Times are epoch seconds."""

    key_id: str
    user_id: str
    name: str
    created_at: int
    expires_at: int | None = None
    revoked_at: int | None = None

    def is_valid(self, now: float) -> bool:
        """Neither revoked nor expired at `now`, in epoch seconds."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)
