"""Deployments: one model on one service of one provider, and who may use it."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from gateway.accounts.keys import Caller
from gateway.models import Model, slug_of
from gateway.providers import addresses
from gateway.settings import CatalogSettings

TIMESTAMPS = "timestamps"
EVERYONE = "*"


class CredentialUnavailableError(Exception):
    """A service's credential cannot be decrypted at the moment."""


@lru_cache(maxsize=4096)
def provider_id(owner: str, name: str) -> int:
    """A stable positive integer below 2^53. A hash needs no counter and stays the same after removal."""
    digest = hashlib.sha256(f"{owner}/{name}".encode()).digest()
    return int.from_bytes(digest[:7], "big") % (2**53 - 1) + 1


@dataclass(frozen=True, slots=True)
class Deployment:
    """A model on a service of a provider, with the service's effective access.

    `version` is its manifest version; the deployment is valid only while the provider's pointer has that version.
    `last_seen_at` (epoch seconds) is when the provider was last seen, as of the read.
    """

    owner: str
    provider: str
    version: str
    service: str
    base_url: str
    model: Model
    access: str = "private"
    allowed_users: tuple[str, ...] = ()
    credential: bytes | None = field(default=None, repr=False)
    last_seen_at: float = 0.0
    published_at: int = 0

    @property
    def provider_key(self) -> tuple[str, str]:
        """Owner and name, which identify the provider."""
        return self.owner, self.provider

    @property
    def provider_name(self) -> str:
        """Owner and name, as callers and records see them."""
        return f"{self.owner}/{self.provider}"

    @property
    def service_key(self) -> tuple[str, str, str]:
        """Owner, provider and service. The credential is bound to these."""
        return self.owner, self.provider, self.service

    @property
    def key(self) -> tuple[str, str, str, str]:
        """The deployment's identity across manifest versions."""
        return self.owner, self.provider, self.service, self.model.served_id

    @property
    def names(self) -> tuple[str, ...]:
        """The names that callers may use: the slug and the served id."""
        return tuple(dict.fromkeys((self.model.slug, slug_of(self.model.served_id))))

    @property
    def has_timestamps(self) -> bool:
        """Whether the service or the model declares word and segment timings."""
        return TIMESTAMPS in self.model.features

    def allows(self, user_id: str) -> bool:
        """Whether the user may use it: the owner always may, others by the access policy."""
        return (
            user_id == self.owner
            or self.access == "authenticated"
            or (self.access == "restricted" and user_id in self.allowed_users)
        )


@dataclass(frozen=True, slots=True)
class Listing:
    """Deployments that a user may use, online or not. `is_cut` means that some were not read."""

    deployments: list[Deployment] = field(default_factory=list)
    is_cut: bool = False

    def __bool__(self) -> bool:
        return bool(self.deployments)


def audiences(owner: str, access: str, allowed_users: Sequence[str]) -> list[str]:
    """The audiences whose listings show a service: everyone, or the owner and the listed users."""
    if access == "authenticated":
        return [EVERYONE]
    if access == "restricted":
        return [owner, *(user for user in dict.fromkeys(allowed_users) if user != owner)]
    return [owner]


def usable(
    candidates: Iterable[Deployment], caller: Caller, settings: CatalogSettings, now: float
) -> list[Deployment]:
    """The candidates that this caller can use at `now` (epoch seconds): allowed by access and by the caller's
    preference, online, and with a URL that may be dialled."""
    return [
        deployment
        for deployment in candidates
        if deployment.allows(caller.user_id)
        and (caller.preference != "only_own" or deployment.owner == caller.user_id)
        and now - deployment.last_seen_at <= settings.provider_online_seconds
        and addresses.refusal(
            deployment.base_url, allow_private=settings.allow_private, own=settings.own_hosts
        )
        is None
    ]
