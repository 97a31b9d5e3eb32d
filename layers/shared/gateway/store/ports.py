"""The ports: what the gateway needs of a store, in one vocabulary. The adapters stand beside, a package each.

Times are epoch seconds. An adapter may raise an error of its own when it cannot answer, unless a port says otherwise.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from gateway.accounts.keys import Caller, KeyRecord, Limits
    from gateway.accounts.limits import Claim, Taken, Wait
    from gateway.providers.deployments import Deployment, Listing
    from gateway.providers.provider import Provider
    from gateway.uploads import StoredPart, Upload
    from gateway.usage.record import Record
    from gateway.usage.totals import Question, Total


class KeyStore(Protocol):
    """API keys by their hash, and users' preferences and limits."""

    def identify(self, key: str, now: float) -> "Caller | None":
        """Whom the key stands for; None when it is unknown, revoked or expired."""
        ...

    def knows(self, key: str) -> bool:
        """Whether the key is one of this gateway's, valid or not."""
        ...

    def user(self, user_id: str) -> "tuple[str, Limits]":
        """Preference and limits; the defaults for a user who never set any."""
        ...

    def set_user(self, user_id: str, preference: str, limits: "Limits") -> None:
        """Replace a user's preference and limits."""
        ...

    def create(
        self, user_id: str, *, name: str = "", expires_at: int | None = None, key: str | None = None
    ) -> "tuple[str, KeyRecord]":
        """A new key, in clear for the only time, and its record."""
        ...

    def list(self, user_id: str) -> "list[KeyRecord]":
        """All keys of a user, oldest first."""
        ...

    def revoke(self, key_id: str) -> "KeyRecord | None":
        """Revoke by public name; None when there is no such key."""
        ...


class CatalogStore(Protocol):
    """What callers may reach. A change by an operator is seen within 5 s."""

    def deployments(self, model: str, user_id: str) -> "list[Deployment]":
        """Deployments of a model, by slug or served id, that the user may use, online or not; at most a hundred."""
        ...

    def listing(self, user_id: str) -> "Listing":
        """Deployments of all models that the user may use, online or not, cut fairly where there are too many."""
        ...

    def forget(self) -> None:
        """Drop remembered lookups."""
        ...


class ProviderStore(Protocol):
    """Providers, for their operators. Every change is atomic."""

    def provider(self, owner: str, name: str) -> "Provider | None":
        """One provider whole."""
        ...

    def owned(self, owner: str) -> "list[Provider]":
        """All providers of an owner, by name."""
        ...

    def beat(self, owner: str, name: str, now: float, *, create: bool = False) -> bool:
        """Note that the provider was alive; False when it is unknown and was not created."""
        ...

    def save_meta(self, provider: "Provider") -> bool:
        """Write what is not part of a manifest; False when it was changed since it was read."""
        ...

    def publish(self, provider: "Provider") -> bool:
        """Make the document, policies and public URL route; False when another publication came between."""
        ...

    def delete(self, owner: str, name: str) -> bool:
        """Remove a provider with its deployments and credentials; False when there was none."""
        ...


class CredentialStore(Protocol):
    """Encrypts services' credentials, each for its place: owner, provider, service."""

    def encrypt(self, credential: str, *place: str) -> bytes:
        """The ciphertext that is kept."""
        ...

    def holds(self, ciphertext: bytes, credential: str, *place: str) -> bool:
        """Whether a ciphertext is of this credential."""
        ...

    def decrypt(self, deployment: "Deployment") -> str | None:
        """The deployment's credential, None when it needs none. Raises CredentialUnavailableError."""
        ...

    def forget(self) -> None:
        """Drop clear credentials from memory."""
        ...


class LimitStore(Protocol):
    """Counts what users have used of their limits. It raises nothing: what cannot be counted passes uncounted."""

    def take(self, claim: "Claim", now: float) -> "Taken":
        """Count one more request and give it a place in flight."""
        ...

    def release(self, user_id: str, counter: str, lease: str) -> "Wait":
        """Begin to give a place back; calling what is returned waits for the end."""
        ...

    def reserve_seconds(self, user_id: str, day: int, seconds: int, quota: int) -> bool:
        """Take seconds of a day's quota if they are left, and at least one is. `day` counts from 1970."""
        ...

    def add_seconds(self, user_id: str, day: int, seconds: int) -> "Wait":
        """Begin to correct a day's seconds; negative gives back."""
        ...


class UsageStore(Protocol):
    """Keeps usage records, once per request id."""

    def save(self, record: "Record") -> None:
        """Keep the record somewhere it is not lost from before this returns. Raises nothing."""
        ...


class TotalsStore(Protocol):
    """Daily totals of usage records."""

    def read(self, user_id: str, question: "Question") -> "list[Total]":
        """The rows of the days asked for."""
        ...


class UploadStore(Protocol):
    """Uploads and their parts. Every change is atomic."""

    def upload(self, user_id: str, upload_id: str) -> "Upload | None":
        """The user's upload; None when there is none of this id."""
        ...

    def open(self, upload: "Upload", most: int, now: float) -> int | None:
        """Keep a new upload; else, when `most` are open, the second at which the first of them expires."""
        ...

    def write_part(self, upload: "Upload", part_id: str, content: memoryview) -> None:
        """Write a part's bytes, which count once they are noted."""
        ...

    def note_part(self, upload: "Upload", part_id: str, part: "StoredPart", most: int) -> bool:
        """Add a part to a pending upload that has room for it; False otherwise."""
        ...

    def complete(self, upload: "Upload", part_ids: Sequence[str], md5: str | None, now: int) -> bool:
        """Complete a pending upload that is as it was read; False otherwise."""
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
