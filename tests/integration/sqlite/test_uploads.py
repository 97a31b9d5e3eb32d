"""The files of uploads: where they are, when they are deleted, and what a crash may leave."""

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from gateway.errors import RateLimited
from gateway.uploads import StoredPart, Upload
from server.sqlite.database import Database
from server.sqlite.uploads import UploadStore

NOW = 1_700_000_000
EXPIRY = NOW + 3600


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    directory = tmp_path / "uploads"
    directory.mkdir()
    return directory


@pytest.fixture
def store(tmp_path: Path, folder: Path) -> Iterator[UploadStore]:
    database = Database(tmp_path / "gateway.db")
    yield UploadStore(database, folder)
    database.close()


def added(store: UploadStore, number: int = 1) -> Upload:
    """A pending upload with one part."""
    made = Upload(f"upload_{number}", "alice", 3, "../a.wav", "audio/wav", "user_data", NOW, EXPIRY)
    assert store.open(made, 20, NOW) is None
    store.write_part(made, "part_1", memoryview(b"abc"))
    assert store.note_part(made, "part_1", StoredPart(3, NOW), 100)
    read = store.upload("alice", made.id)
    assert read
    return read


def names(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_a_part_is_one_file_that_only_its_owner_can_read(store: UploadStore, folder: Path) -> None:
    added(store)
    assert names(folder) == {"upload_1/part_1"}
    assert (folder / "upload_1" / "part_1").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("upload_id", "part_id"), [("..", "part_1"), ("upload_1", "../../x"), ("a/b", "c"), ("", "c")]
)
def test_an_id_cannot_lead_out_of_the_folder(
    store: UploadStore, folder: Path, upload_id: str, part_id: str
) -> None:
    made = Upload(upload_id, "alice", 3, "a", "audio/wav", "user_data", NOW, EXPIRY)
    with pytest.raises(ValueError, match="not a plain name"):
        store.write_part(made, part_id, memoryview(b"abc"))
    assert names(folder.parent) - {"gateway.db", "gateway.db-wal", "gateway.db-shm"} == set()


def test_an_upload_is_swept_a_minute_after_it_expires_and_its_state_a_day_later(
    store: UploadStore, folder: Path
) -> None:
    made = added(store)
    store.sweep(EXPIRY + 59)
    assert store.read(made, ["part_1"]) == b"abc"
    store.sweep(EXPIRY + 60)
    assert list(folder.iterdir()) == []
    assert store.upload("alice", made.id)
    store.sweep(EXPIRY + 86_400)
    assert store.upload("alice", made.id) is None


def test_a_completed_upload_is_kept_until_it_expires(store: UploadStore, folder: Path) -> None:
    made = added(store)
    assert store.complete(made, ["part_1"], None, NOW + 1)
    store.sweep(EXPIRY - 1)
    assert names(folder) == {"upload_1/part_1"}
    store.sweep(EXPIRY + 60)
    assert list(folder.iterdir()) == []


def test_a_part_that_arrives_after_the_cancellation_is_swept(store: UploadStore, folder: Path) -> None:
    made = added(store)
    assert store.cancel(made)
    store.erase(made)
    store.write_part(made, "part_2", memoryview(b"late"))
    store.sweep(NOW)
    assert list(folder.iterdir()) == []


def test_what_a_crash_left_is_swept(store: UploadStore, folder: Path) -> None:
    """A folder without an upload: the database was restored, or the process died between the two."""
    added(store)
    (folder / "upload_2").mkdir()
    (folder / "upload_2" / ".part_1.abcd").write_bytes(b"half")
    store.sweep(NOW)
    assert names(folder) == {"upload_1/part_1"}


def test_a_part_written_again_is_the_same_file(store: UploadStore, folder: Path) -> None:
    made = added(store)
    store.write_part(made, "part_1", memoryview(b"abc"))
    assert names(folder) == {"upload_1/part_1"}
    assert store.read(made, ["part_1"]) == b"abc"


@pytest.mark.parametrize("cause", ["room", "status"])
def test_a_part_that_an_upload_has_no_room_for_leaves_no_file(
    store: UploadStore, folder: Path, cause: str
) -> None:
    made = added(store)
    if cause == "status":
        assert store.cancel(made)
    store.write_part(made, "part_2", memoryview(b"abc"))
    assert not store.note_part(made, "part_2", StoredPart(3, NOW), 100)
    assert names(folder) == {"upload_1/part_1"}


def test_a_part_that_two_requests_sent_keeps_its_file(store: UploadStore, folder: Path) -> None:
    made = added(store)
    store.write_part(made, "part_1", memoryview(b"abc"))
    assert not store.note_part(made, "part_1", StoredPart(3, NOW), 100)
    assert names(folder) == {"upload_1/part_1"}


@pytest.mark.parametrize(("total", "least"), [(10**12, 1024**3), (1_000_000, 100_000)])
def test_uploads_leave_room_for_the_database(
    store: UploadStore, folder: Path, monkeypatch: pytest.MonkeyPatch, total: int, least: int
) -> None:
    made = Upload("upload_1", "alice", 3, "a.wav", "audio/wav", "user_data", NOW, EXPIRY)
    free = least + 3
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(total=total, free=free))
    store.write_part(made, "part_1", memoryview(b"abc"))
    with pytest.raises(RateLimited) as refused:
        store.write_part(made, "part_2", memoryview(b"abcd"))
    assert refused.value.headers["retry-after"]
    assert names(folder) == {"upload_1/part_1"}
