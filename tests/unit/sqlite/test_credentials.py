import base64
from pathlib import Path

import pytest

from server.sqlite.credentials import KEY_BYTES, CredentialStore, open_key
from server.sqlite.failure import StoreError
from tests.fakes import deployment


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "credentials.key"


def test_a_new_key_is_random_and_only_its_owner_can_read_it(path: Path, tmp_path: Path) -> None:
    key = open_key(path, create=True)
    assert len(key) == KEY_BYTES
    assert base64.b64decode(path.read_bytes()) == key
    assert path.stat().st_mode & 0o777 == 0o600
    assert key != open_key(tmp_path / "other.key", create=True)
    assert {each.name for each in tmp_path.iterdir()} == {"credentials.key", "other.key"}


def test_an_existing_key_is_kept(path: Path) -> None:
    assert open_key(path, create=True) == open_key(path, create=True) == open_key(path, create=False)


def test_a_missing_key_is_not_replaced_while_credentials_need_it(path: Path) -> None:
    with pytest.raises(StoreError, match=r"is missing.*from a backup.*openssl rand"):
        open_key(path, create=False)
    assert not path.exists()


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
def test_a_key_that_others_may_read_is_refused_with_the_command_that_mends_it(path: Path, mode: int) -> None:
    open_key(path, create=True)
    path.chmod(mode)
    with pytest.raises(StoreError, match=f"chmod 600 {path}"):
        open_key(path, create=True)


@pytest.mark.parametrize("content", [b"", b"AAAA", b"not base64!", base64.b64encode(bytes(33))])
def test_a_file_that_holds_no_key_is_refused(path: Path, content: bytes) -> None:
    path.touch(0o600)
    path.write_bytes(content)
    with pytest.raises(StoreError, match="does not hold a key of 32 bytes"):
        open_key(path, create=True)


def test_names_that_join_to_the_same_text_are_different_places() -> None:
    store = CredentialStore(bytes(KEY_BYTES))
    ciphertext = store.encrypt("hunter2", "alice", "home", "asr")
    assert not store.holds(ciphertext, "hunter2", "alic", "ehome", "asr")
    assert not store.holds(ciphertext, "hunter2", "alice", "homeasr", "")


def test_another_key_decrypts_nothing() -> None:
    ciphertext = CredentialStore(bytes(KEY_BYTES)).encrypt("hunter2", "alice", "home", "asr")
    other = CredentialStore(b"\x01" * KEY_BYTES)
    assert not other.holds(ciphertext, "hunter2", "alice", "home", "asr")


def test_a_credential_of_any_length_is_kept() -> None:
    store = CredentialStore(bytes(KEY_BYTES))
    for credential in ("", "é", "x" * 5000):
        ciphertext = store.encrypt(credential, "alice", "home", "asr")
        assert store.decrypt(deployment("home", credential=ciphertext)) == credential
