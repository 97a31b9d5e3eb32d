import os
from dataclasses import replace

import pytest

from gateway.store.ports import Stores
from gateway.uploads import CANCELLED, COMPLETED, PENDING, StoredPart, Upload

NOW = 1_700_000_000
A, B = os.urandom(300_000), os.urandom(200_000)


def upload(number: int = 1, *, user: str = "ulla", expires_at: int = NOW + 3600) -> Upload:
    return Upload(
        id=f"upload_{number:032x}",
        user_id=user,
        bytes=len(A) + len(B),
        filename="talk é.wav",
        media_type="audio/wav",
        purpose="user_data",
        created_at=NOW,
        expires_at=expires_at,
    )


def opened(stores: Stores, made: Upload | None = None) -> Upload:
    made = made or upload()
    assert stores.uploads().open(made, 20, NOW) is None
    return made


def read(stores: Stores, made: Upload) -> Upload:
    found = stores.uploads().upload(made.user_id, made.id)
    assert found is not None
    return found


def add(stores: Stores, made: Upload, part_id: str, content: bytes) -> bool:
    stores.uploads().write_part(made, part_id, memoryview(content))
    return stores.uploads().note_part(made, part_id, StoredPart(len(content), NOW + 1), 100)


def test_an_opened_upload_is_read_back_by_its_user_alone(stores: Stores) -> None:
    made = opened(stores)
    assert read(stores, made) == made
    assert stores.uploads().upload("mallory", made.id) is None
    assert stores.uploads().upload("ulla", "upload_unknown") is None


def test_parts_are_read_in_the_order_asked_for_into_one_buffer(stores: Stores) -> None:
    made = opened(stores)
    assert add(stores, made, "part_a", A)
    assert add(stores, made, "part_b", B)
    noted = read(stores, made)
    assert noted.parts == {"part_a": StoredPart(len(A), NOW + 1), "part_b": StoredPart(len(B), NOW + 1)}
    assert stores.uploads().read(noted, ["part_b", "part_a"]) == B + A


def test_a_part_is_noted_once_and_only_while_there_is_room(stores: Stores) -> None:
    made = opened(stores)
    assert add(stores, made, "part_a", A)
    assert not add(stores, made, "part_a", A)
    assert not add(stores, made, "part_big", A)
    assert not stores.uploads().note_part(made, "part_b", StoredPart(1, NOW), 1)
    assert stores.uploads().note_part(made, "part_b", StoredPart(1, NOW), 2)


def test_a_part_of_no_upload_is_not_noted(stores: Stores) -> None:
    assert not stores.uploads().note_part(upload(), "part_a", StoredPart(1, NOW), 100)


def test_a_completed_upload_keeps_the_order_of_its_parts_and_takes_no_more(stores: Stores) -> None:
    made = opened(stores)
    add(stores, made, "part_a", A)
    add(stores, made, "part_b", B)
    order = ["part_b", "part_a"]
    assert stores.uploads().complete(read(stores, made), order, "0" * 32, NOW + 2)
    done = read(stores, made)
    assert (done.status, done.part_ids, done.md5, done.completed_at) == (
        COMPLETED,
        tuple(order),
        "0" * 32,
        NOW + 2,
    )
    assert not stores.uploads().complete(done, order, None, NOW + 3)
    assert not stores.uploads().cancel(done)
    assert not stores.uploads().note_part(done, "part_c", StoredPart(0, NOW), 100)


def test_an_upload_that_got_a_part_meanwhile_is_not_completed(stores: Stores) -> None:
    made = opened(stores)
    add(stores, made, "part_a", A)
    outdated = read(stores, made)
    add(stores, made, "part_b", B)
    assert not stores.uploads().complete(outdated, ["part_a"], None, NOW + 2)
    assert read(stores, made).status == PENDING


def test_an_expired_upload_is_not_completed(stores: Stores) -> None:
    made = opened(stores)
    assert not stores.uploads().complete(made, [], None, made.expires_at)
    assert stores.uploads().complete(made, [], None, made.expires_at - 1)


def test_a_cancelled_upload_loses_its_parts(stores: Stores) -> None:
    made = opened(stores)
    add(stores, made, "part_a", A)
    noted = read(stores, made)
    assert stores.uploads().cancel(noted)
    assert not stores.uploads().cancel(noted)
    assert read(stores, made).status == CANCELLED
    for _ in range(2):
        stores.uploads().erase(noted)
    with pytest.raises(Exception):  # noqa: B017  # each adapter has its own
        stores.uploads().read(noted, ["part_a"])


def test_a_user_with_too_many_open_uploads_learns_when_the_first_expires(stores: Stores) -> None:
    for number in range(3):
        assert stores.uploads().open(upload(number, expires_at=NOW + 100 + number), 3, NOW) is None
    assert stores.uploads().open(upload(9), 3, NOW) == NOW + 100
    assert stores.uploads().upload("ulla", upload(9).id) is None
    assert stores.uploads().open(upload(10, user="bob"), 3, NOW) is None
    assert stores.uploads().open(upload(9), 3, NOW + 100) is None


@pytest.mark.parametrize("ending", ["complete", "cancel"])
def test_an_upload_that_has_ended_is_not_open(stores: Stores, ending: str) -> None:
    made = opened(stores)
    assert stores.uploads().open(upload(2), 1, NOW) == made.expires_at
    if ending == "complete":
        assert stores.uploads().complete(made, [], None, NOW)
    else:
        assert stores.uploads().cancel(made)
    assert stores.uploads().open(upload(2), 1, NOW) is None


def test_a_part_of_another_size_than_was_noted_is_an_error(stores: Stores) -> None:
    made = opened(stores)
    stores.uploads().write_part(made, "part_a", memoryview(A))
    for size in (len(A) - 1, len(A) + 1):
        noted = replace(made, parts={"part_a": StoredPart(size, NOW)})
        with pytest.raises(ValueError, match="than was noted"):
            stores.uploads().read(noted, ["part_a"])
