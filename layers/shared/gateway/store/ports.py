"""The ports: what the gateway needs from a store. Each set of adapters is a package.

Times are epoch seconds. An adapter may raise its own error when it cannot answer, unless a port says otherwise.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from gateway.accounts.keys import Caller, KeyChange, KeyRecord, Limits
    from gateway.accounts.limits import Claim, Taken, Wait
    from gateway.providers.deployments import Deployment, Listing
    from gateway.providers.provider import Provider
    from gateway.uploads import StoredPart, Upload
    from gateway.usage.record import Record
    from gateway.usage.totals import Question, Total


class KeyStore(Protocol):
    """API keys by their hash, and users' preferences and limits."""

    def identify(self, key: str, now: float) -> "Caller | None":
        """The caller of the key; None when it is unknown, revoked or expired."""
        ...

    def knows(self, key: str) -> bool:
        """Whether this gateway issued the key, valid or not."""
        ...

    def user(self, user_id: str) -> "tuple[str, Limits]":
        """Preference and limits; the defaults if none were set."""
        ...

    def users(self) -> "list[str]":
        """The ids of everyone who has a key or settings, sorted. For administrators; no request asks."""
        ...

    def set_user(self, user_id: str, preference: str, limits: "Limits") -> None:
        """Replace a user's preference and limits."""
        ...

    def create(
        self, user_id: str, *, name: str = "", expires_at: int | None = None, key: str | None = None
    ) -> "tuple[str, KeyRecord]":
        """Create a key, for an administrator. Returns it in clear, the only time, with its record."""
        ...

    def list(self, user_id: str) -> "list[KeyRecord]":
        """All keys of a user, oldest first, including those made just before."""
        ...

    def revoke(self, key_id: str) -> "KeyRecord | None":
        """Revoke a key by public name, and what it made, for an administrator; None when there is no such key."""
        ...

    def change(self, user_id: str, decide: "Callable[[Sequence[KeyRecord]], KeyChange]") -> "KeyChange":
        """Make the change that `decide` returns for all keys of a user, oldest first. Returns it.

        The change is atomic, and is made only if the keys are still those that `decide` saw: it may be called again.
        What it raises is raised here, and nothing is changed.
        """
        ...


class CatalogStore(Protocol):
    """The deployments that callers may use. An operator's change is visible within 5 s."""

    def deployments(self, model: str, user_id: str) -> "list[Deployment]":
        """Deployments of a model, by slug or served id, that the user may use, online or not; at most a hundred."""
        ...

    def listing(self, user_id: str) -> "Listing":
        """Deployments of all models that the user may use, online or not, cut fairly when there are too many."""
        ...

    def forget(self) -> None:
        """Drop cached lookups."""
        ...


class ProviderStore(Protocol):
    """Providers, for their operators. Every change is atomic."""

    def provider(self, owner: str, name: str) -> "Provider | None":
        """One provider, complete."""
        ...

    def owned(self, owner: str) -> "list[Provider]":
        """All providers of an owner, by name."""
        ...

    def beat(self, owner: str, name: str, now: float, *, create: bool = False) -> bool:
        """Record a heartbeat; False when the provider is unknown and was not created."""
        ...

    def save_meta(self, provider: "Provider") -> bool:
        """Write the fields outside the manifest; False when they changed since the provider was read."""
        ...

    def publish(self, provider: "Provider") -> bool:
        """Route by the document, policies and public URL; False when another publication came first."""
        ...

    def delete(self, owner: str, name: str) -> bool:
        """Delete a provider with its deployments and credentials; False when there was none."""
        ...


class CredentialStore(Protocol):
    """Encrypts services' credentials, each bound to its place: owner, provider, service."""

    def encrypt(self, credential: str, *place: str) -> bytes:
        """The ciphertext to store."""
        ...

    def holds(self, ciphertext: bytes, credential: str, *place: str) -> bool:
        """Whether the ciphertext is that of this credential."""
        ...

    def decrypt(self, deployment: "Deployment") -> str | None:
        """The deployment's credential; None when it has none. Raises CredentialUnavailableError."""
        ...

    def forget(self) -> None:
        """Drop clear credentials from memory."""
        ...


class LimitStore(Protocol):
    """Counts users' use of their limits. Raises nothing: if a request cannot be counted, it passes uncounted."""

    def take(self, claim: "Claim", now: float) -> "Taken":
        """Count one more request and give it a place in flight."""
        ...

    def release(self, user_id: str, counter: str, lease: str) -> "Wait":
        """Start releasing a place. Call the returned function to wait for the end."""
        ...

    def reserve_seconds(self, user_id: str, day: int, seconds: int, quota: int) -> bool:
        """Take seconds of a day's quota if they, and at least one, are left. `day` counts from 1970."""
        ...

    def add_seconds(self, user_id: str, day: int, seconds: int) -> "Wait":
        """Start correcting a day's seconds; a negative number gives seconds back."""
        ...


class UsageStore(Protocol):
    """Stores usage records, once per request id."""

    def save(self, record: "Record") -> None:
        """Store the record durably before returning. Raises StorageUnavailable when it cannot."""
        ...


class TotalsStore(Protocol):
    """Daily totals of usage records."""

    def read(self, user_id: str, question: "Question") -> "list[Total]":
        """The rows of the days asked for."""
        ...


class UploadStore(Protocol):
    """Uploads and their parts. Every change is atomic."""

    def upload(self, user_id: str, upload_id: str) -> "Upload | None":
        """The user's upload; None when there is none with this id."""
        ...

    def open(self, upload: "Upload", limit: int, now: float) -> int | None:
        """Store a new upload. When `limit` are already open, store nothing and return when the first expires."""
        ...

    def write_part(self, upload: "Upload", part_id: str, content: memoryview) -> None:
        """Write a part's bytes. They count once the part is noted."""
        ...

    def note_part(self, upload: "Upload", part_id: str, part: "StoredPart", limit: int) -> bool:
        """Add a part to a pending upload that has room for it; False otherwise."""
        ...

    def complete(self, upload: "Upload", part_ids: Sequence[str], md5: str | None, now: int) -> bool:
        """Complete a pending upload that has not changed since it was read; False otherwise."""
        ...

    def cancel(self, upload: "Upload") -> bool:
        """Cancel a pending upload; False otherwise."""
        ...

    def erase(self, upload: "Upload") -> None:
        """Delete the parts' bytes."""
        ...

    def read(self, upload: "Upload", part_ids: Sequence[str]) -> bytearray:
        """The parts' bytes, in the order given, in one buffer."""
        ...


class Stores(Protocol):
    """One set of adapters. Each call returns the same object."""

    def keys(self) -> KeyStore: ...

    def catalog(self) -> CatalogStore: ...

    def providers(self) -> ProviderStore: ...

    def credentials(self) -> CredentialStore: ...

    def limits(self) -> LimitStore: ...

    def usage(self) -> UsageStore: ...

    def totals(self) -> TotalsStore: ...

    def uploads(self) -> UploadStore: ...

    def prepare(self) -> object:
        """Create what almost every request needs."""
        ...

    def renew(self) -> None:
        """Close connections. They open again at their next use."""
        ...
