import pytest

from gateway.providers.deployments import CredentialUnavailableError
from gateway.store.ports import Stores
from tests.fakes import deployment

PLACE = ("alice", "home", "asr")


def test_a_credential_is_returned_only_for_its_own_service(stores: Stores) -> None:
    store = stores.credentials()
    ciphertext = store.encrypt("hunter2", *PLACE)
    assert b"hunter2" not in ciphertext
    assert store.decrypt(deployment("home", credential=ciphertext)) == "hunter2"
    store.forget()
    for elsewhere in ({"service": "other"}, {"owner": "bob"}):
        with pytest.raises(CredentialUnavailableError):
            store.decrypt(deployment("home", credential=ciphertext, **elsewhere))


def test_a_damaged_ciphertext_is_unavailable(stores: Stores) -> None:
    store = stores.credentials()
    ciphertext = store.encrypt("hunter2", *PLACE)
    for damaged in (ciphertext[:-1], ciphertext[:-1] + bytes([ciphertext[-1] ^ 1]), b"\x00", ciphertext[:12]):
        with pytest.raises(CredentialUnavailableError):
            store.decrypt(deployment("home", credential=damaged))


def test_two_ciphertexts_of_a_credential_differ(stores: Stores) -> None:
    store = stores.credentials()
    assert store.encrypt("hunter2", *PLACE) != store.encrypt("hunter2", *PLACE)


def test_a_deployment_without_a_credential_has_none(stores: Stores) -> None:
    assert stores.credentials().decrypt(deployment()) is None


def test_a_stored_credential_is_recognised_only_for_its_service(stores: Stores) -> None:
    store = stores.credentials()
    ciphertext = store.encrypt("hunter2", *PLACE)
    assert store.holds(ciphertext, "hunter2", *PLACE)
    assert not store.holds(ciphertext, "hunter3", *PLACE)
    assert not store.holds(ciphertext, "hunter2", "bob", "home", "asr")
