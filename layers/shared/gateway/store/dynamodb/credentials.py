"""Credentials of operators' services: KMS ciphertext at rest, clear only in memory for a minute."""

import hmac
import os
import time
from collections.abc import Callable
from functools import cache

from gateway.providers.deployments import CredentialUnavailableError, Deployment
from gateway.store.dynamodb import aws
from gateway.store.dynamodb.recent import Recent

# A credential that its operator replaces has another ciphertext, so a minute makes nothing stale.
SECONDS = 60.0
_BUDGET = 1_000_000


class CredentialStore:
    """Encrypts and decrypts under the KMS key `key_id`, bound to owner, provider and service."""

    def __init__(self, key_id: str, clock: Callable[[], float] = time.monotonic) -> None:
        self.key_id = key_id
        self._recent: Recent[str] = Recent(_size_of, budget=_BUDGET, seconds=SECONDS, clock=clock)

    def encrypt(self, credential: str, *place: str) -> bytes:
        """The ciphertext that is stored beside the deployment. Raises a StoreError."""
        reply = aws.client("kms").encrypt(
            KeyId=self.key_id, Plaintext=credential.encode(), EncryptionContext=_context(*place)
        )
        return bytes(reply["CiphertextBlob"])

    def holds(self, ciphertext: bytes, credential: str, *place: str) -> bool:
        """Whether a stored ciphertext is of this credential; false too when it cannot be decrypted."""
        try:
            return hmac.compare_digest(self._read(ciphertext, *place).encode(), credential.encode())
        except aws.StoreError:
            return False

    def decrypt(self, deployment: Deployment) -> str | None:
        """The deployment's credential, or None when it needs none. Raises CredentialUnavailableError."""
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
    """Bytes in memory, with the ciphertext it is remembered under."""
    return 500 + 2 * len(credential)


def _context(owner: str, provider: str, service: str) -> dict[str, str]:
    return {"owner": owner, "provider": provider, "service": service}


@cache
def credential_store() -> CredentialStore:
    """The store on the key that CREDENTIALS_KEY_ID names."""
    return CredentialStore(os.environ["CREDENTIALS_KEY_ID"])
