"""Encrypt operators' credentials with KMS; keep them in clear only in memory, for a minute."""

import hmac
import os
import time
from collections.abc import Callable
from functools import cache

from gateway.providers.deployments import CredentialUnavailableError, Deployment
from gateway.store.dynamodb import aws
from gateway.store.recent import Recent

# A replaced credential has another ciphertext, so a cached one is never stale.
SECONDS = 60.0
_BUDGET = 1_000_000


class CredentialStore:
    """Encrypts and decrypts under the KMS key `key_id`, bound to owner, provider and service."""

    def __init__(self, key_id: str, clock: Callable[[], float] = time.monotonic) -> None:
        self.key_id = key_id
        self._recent: Recent[str] = Recent(_size_of, budget=_BUDGET, seconds=SECONDS, clock=clock)

    def encrypt(self, credential: str, *place: str) -> bytes:
        """The ciphertext to store with the deployment. Raises a StoreError."""
        reply = aws.client("kms").encrypt(
            KeyId=self.key_id, Plaintext=credential.encode(), EncryptionContext=_context(*place)
        )
        return bytes(reply["CiphertextBlob"])

    def holds(self, ciphertext: bytes, credential: str, *place: str) -> bool:
        """Whether a stored ciphertext is that of this credential; False also when it cannot be decrypted."""
        try:
            return hmac.compare_digest(self._read(ciphertext, *place).encode(), credential.encode())
        except aws.StoreError:
            return False

    def decrypt(self, deployment: Deployment) -> str | None:
        """The deployment's credential; None when it has none. Raises CredentialUnavailableError."""
        ciphertext = deployment.credential
        if ciphertext is None:
            return None
        try:
            return self._recent.get(ciphertext, lambda: self._read(ciphertext, *deployment.service_key))
        except aws.StoreError:
            raise CredentialUnavailableError from None

    def forget(self) -> None:
        """Drop clear credentials from memory."""
        self._recent.clear()

    def _read(self, ciphertext: bytes, *place: str) -> str:
        reply = aws.client("kms").decrypt(
            CiphertextBlob=ciphertext, KeyId=self.key_id, EncryptionContext=_context(*place)
        )
        return str(reply["Plaintext"], "utf-8")


def _size_of(credential: str) -> int:
    """Bytes in memory, including the ciphertext that is its key."""
    return 500 + 2 * len(credential)


def _context(owner: str, provider: str, service: str) -> dict[str, str]:
    return {"owner": owner, "provider": provider, "service": service}


@cache
def credential_store() -> CredentialStore:
    """The store of the key in CREDENTIALS_KEY_ID."""
    return CredentialStore(os.environ["CREDENTIALS_KEY_ID"])
