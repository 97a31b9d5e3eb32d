"""Encrypt operators' credentials under a key file, each bound to its place."""

import base64
import binascii
import hmac
import os
import secrets
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from gateway.providers.deployments import CredentialUnavailableError, Deployment
from server.sqlite.failure import CORRUPT, NO_PERMISSION, StoreError, explained
from server.sqlite.files import write_once

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY_BYTES = 32
_NONCE_BYTES = 12  # what AES-GCM is defined for (NIST SP 800-38D)
# The first byte of every ciphertext, so that another method can follow.
_AES_GCM = b"\x01"


class CredentialStore:
    """Encrypts and decrypts with AES-256-GCM; owner, provider and service are authenticated with the ciphertext."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    @cached_property
    def _cipher(self) -> "AESGCM":
        # Imported here, because the library takes 6 MB, and many gateways have no credentials.
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        return AESGCM(self._key)

    def encrypt(self, credential: str, *place: str) -> bytes:
        """The ciphertext to store."""
        nonce = os.urandom(_NONCE_BYTES)
        return _AES_GCM + nonce + self._cipher.encrypt(nonce, credential.encode(), _authenticated(place))

    def holds(self, ciphertext: bytes, credential: str, *place: str) -> bool:
        """Whether a stored ciphertext is that of this credential; False also when it cannot be decrypted."""
        try:
            return hmac.compare_digest(self._read(ciphertext, place).encode(), credential.encode())
        except CredentialUnavailableError:
            return False

    def decrypt(self, deployment: Deployment) -> str | None:
        """The deployment's credential; None when it has none. Raises CredentialUnavailableError."""
        if deployment.credential is None:
            return None
        return self._read(deployment.credential, deployment.service_key)

    def forget(self) -> None:
        """Nothing is kept in clear."""

    def _read(self, ciphertext: bytes, place: tuple[str, ...]) -> str:
        from cryptography.exceptions import InvalidTag

        method, nonce, rest = ciphertext[:1], ciphertext[1 : 1 + _NONCE_BYTES], ciphertext[1 + _NONCE_BYTES :]
        if method != _AES_GCM:
            raise CredentialUnavailableError
        try:
            return self._cipher.decrypt(nonce, rest, _authenticated(place)).decode()
        except (InvalidTag, ValueError):
            raise CredentialUnavailableError from None


def _authenticated(place: tuple[str, ...]) -> bytes:
    """The names of the place, each after its length, so that no two places give the same bytes."""
    names = [name.encode() for name in place]
    return b"".join(len(name).to_bytes(4, "big") + name for name in names)


def open_key(path: Path, *, create: bool) -> bytes:
    """Read the key, and create it first if it is missing and `create` is set. Raises StoreError."""
    with explained(path):
        if create and not path.exists():
            # Of two processes that do so at once, both then find the same key.
            write_once(path, base64.b64encode(secrets.token_bytes(KEY_BYTES)) + b"\n")
        if not path.exists():
            raise StoreError(
                NO_PERMISSION,
                f"{path} is missing, and without it the stored credentials of providers cannot be read. Put it back "
                f"from a backup. To go on without those credentials, make a new key: (umask 077; openssl rand -base64 "
                f"{KEY_BYTES} > {path})",
            )
        if path.stat().st_mode & 0o077:
            raise StoreError(
                NO_PERMISSION,
                f"{path} holds the key of providers' credentials, but other users may read it: chmod 600 {path}",
            )
        return decoded(path.read_bytes(), path)


def decoded(text: bytes, path: Path) -> bytes:
    """The key in a key file's text. Raises StoreError when it is none."""
    try:
        key = base64.b64decode(text.strip(), validate=True)
    except binascii.Error:
        key = b""
    if len(key) != KEY_BYTES:
        raise StoreError(
            CORRUPT, f"{path} does not hold a key of {KEY_BYTES} bytes in base64. Put it back from a backup."
        )
    return key
