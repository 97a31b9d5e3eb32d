"""API keys: their format, their hash, and the caller that a key identifies."""

import hashlib
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

PREFERENCES = ("any", "prefer_own", "only_own")
_KEY = re.compile(r"sk-[A-Za-z0-9_-]{16,253}")


def generate_key() -> str:
    """Generate a key with 256 random bits. It is shown once and stored only as a hash."""
    return "sk-stt-" + secrets.token_urlsafe(32)


def is_wellformed(key: str) -> bool:
    """Whether the text has the format of a key. Any other text costs no table read."""
    return _KEY.fullmatch(key) is not None


def hash_key(key: str) -> str:
    """SHA-256 in hex. Random keys need no salt and no slow hash."""
    return hashlib.sha256(key.encode()).hexdigest()


def key_id_of(key_hash: str) -> str:
    """The key's public name: 64 bits of its hash, enough to be unique and no help in guessing the key."""
    return "key_" + key_hash[:16]


# Counts register, manifest, PATCH and new keys, but not heartbeats (contract section 5).
CHANGES_PER_MINUTE = 30


@dataclass(frozen=True, slots=True)
class Limits:
    """A user's limits; None means no limit."""

    requests_per_minute: int | None = None
    audio_seconds_per_day: int | None = None
    changes_per_minute: int | None = CHANGES_PER_MINUTE


@dataclass(frozen=True, slots=True)
class Caller:
    """The user that a valid key identifies, with preference and limits."""

    user_id: str
    key_id: str
    preference: str = "any"
    limits: Limits = Limits()

    def to_context(self) -> dict[str, str]:
        """Return an API Gateway authorizer context, whose values are strings."""
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
        """Reverse `to_context`. Raises KeyError when no authorizer ran: the stack is misconfigured."""

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
                # Contexts cached before this limit existed lack it.
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
    # The id of the key that made it; None when an administrator did.
    made_by: str | None = None

    def is_valid(self, now: float) -> bool:
        """Neither revoked nor expired at `now`, in epoch seconds."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key to be stored: the hash of its value, and its record."""

    key_hash: str
    record: KeyRecord

    @classmethod
    def of(  # noqa: PLR0913 (each is a field of the record)
        cls,
        value: str,
        user_id: str,
        name: str,
        *,
        created_at: int,
        expires_at: int | None,
        made_by: str | None = None,
    ) -> Self:
        """The key with this value."""
        key_hash = hash_key(value)
        record = KeyRecord(
            key_id_of(key_hash), user_id, name, created_at, expires_at=expires_at, made_by=made_by
        )
        return cls(key_hash, record)


@dataclass(frozen=True, slots=True)
class KeyChange:
    """What happens to a user's keys at once: new ones, and the ids of those that are revoked or forgotten."""

    made: tuple[NewKey, ...] = ()
    revoked: tuple[str, ...] = ()
    revoked_at: int = 0
    forgotten: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.made or self.revoked or self.forgotten)


def revocation(records: Sequence[KeyRecord], key_id: str, now: float) -> KeyChange:
    """Revoke one of a user's keys, and the valid ones that it made, that those made, and so on.

    A key that was revoked before keeps its time.
    """
    made: dict[str, list[KeyRecord]] = {}
    for record in records:
        if record.made_by:
            made.setdefault(record.made_by, []).append(record)
    revoked = [record.key_id for record in records if record.key_id == key_id and record.revoked_at is None]
    makers = [key_id]
    while makers:
        for record in made.get(makers.pop(), ()):
            makers.append(record.key_id)
            if record.is_valid(now):
                revoked.append(record.key_id)
    return KeyChange(revoked=tuple(revoked), revoked_at=int(now))
