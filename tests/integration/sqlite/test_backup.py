import hashlib
import io
import json
import tarfile
import threading
import tracemalloc
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import apsw
import pytest

from gateway.uploads import StoredPart, Upload
from server.sqlite.backup import MANIFEST, backup, restore
from server.sqlite.failure import StoreError
from server.sqlite.stores import SqliteStores, open_stores
from tests.fakes import deployment, usage_record
from tests.integration.sqlite.records import check_consistent

NOW = datetime(2026, 1, 1, tzinfo=UTC)
UPLOAD = Upload("upload_1", "alice", 3, "a.wav", "audio/wav", "user_data", 1, 4_000_000_000)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "backup.tar"


def filled(stores: SqliteStores) -> tuple[str, bytes]:
    """Store something of everything. Returns a key and the ciphertext of a credential."""
    key, _ = stores.keys().create("alice")
    stores.usage().save(usage_record("r1"))
    uploads = stores.uploads()
    uploads.open(UPLOAD, 20, 2)
    uploads.write_part(UPLOAD, "part_1", memoryview(b"abc"))
    uploads.note_part(UPLOAD, "part_1", StoredPart(3, 2), 100)
    return key, stores.credentials().encrypt("hunter2", "alice", "home", "asr")


def rewritten(file: Path, change: "dict[str, bytes | None]") -> None:
    """Replace files of a backup, or remove them, as nobody's program would."""
    with tarfile.open(file) as tar:
        found = {member.name: tar.extractfile(member) for member in tar}
        contents = {name: source.read() for name, source in found.items() if source}
    contents |= {name: content for name, content in change.items() if content is not None}
    with tarfile.open(file, "w") as tar:
        for name, content in contents.items():
            if name not in change or change[name] is not None:
                member = tarfile.TarInfo(name)
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))


def test_a_backup_of_running_stores_restores_everything_elsewhere(
    stores: SqliteStores, data_dir: Path, file: Path, tmp_path: Path
) -> None:
    key, ciphertext = filled(stores)
    backup(data_dir, file)
    stores.keys().create("late")
    assert restore(file, tmp_path / "elsewhere" / "data") is None
    restored = open_stores(tmp_path / "elsewhere" / "data")
    assert restored.keys().identify(key, 0)
    assert restored.keys().list("late") == []
    upload = restored.uploads().upload("alice", "upload_1")
    assert upload
    assert restored.uploads().read(upload, ["part_1"]) == b"abc"
    assert restored.credentials().decrypt(deployment("home", credential=ciphertext)) == "hunter2"
    restored.close()
    assert check_consistent(tmp_path / "elsewhere" / "data" / "gateway.db") == {"r1"}


def test_only_the_owner_can_read_a_backup_and_what_it_restores(
    stores: SqliteStores, data_dir: Path, file: Path, tmp_path: Path
) -> None:
    filled(stores)
    file.touch(0o644)
    backup(data_dir, file)
    restore(file, tmp_path / "restored")
    modes = {path.stat().st_mode & 0o077 for path in (file, *(tmp_path / "restored").rglob("*"))}
    assert modes == {0}
    assert (tmp_path / "restored").stat().st_mode & 0o077 == 0


def test_a_backup_during_traffic_is_consistent(
    stores: SqliteStores, data_dir: Path, file: Path, tmp_path: Path
) -> None:
    done = threading.Event()

    def save() -> None:
        number = 0
        while not done.is_set():
            stores.usage().save(usage_record(f"r{number}"))
            number += 1

    saving = threading.Thread(target=save)
    saving.start()
    try:
        for number in range(3):
            backup(data_dir, file)
            restore(file, tmp_path / f"restored-{number}")
            check_consistent(tmp_path / f"restored-{number}" / "gateway.db")
    finally:
        done.set()
        saving.join()


def test_a_restore_keeps_what_was_there_before(stores: SqliteStores, data_dir: Path, file: Path) -> None:
    key, _ = filled(stores)
    backup(data_dir, file)
    newer, _ = stores.keys().create("bob")
    stores.close()
    kept = restore(file, data_dir, now=NOW)
    assert kept == data_dir.with_name("data.before-restore-20260101T000000Z")
    for directory, is_newer in ((data_dir, False), (kept, True)):
        opened = open_stores(directory)
        assert opened.keys().identify(key, 0)
        assert opened.keys().knows(newer) == is_newer
        opened.close()


def test_a_link_to_the_directory_stays_a_link(
    stores: SqliteStores, data_dir: Path, file: Path, tmp_path: Path
) -> None:
    filled(stores)
    link = tmp_path / "link"
    link.symlink_to(data_dir)
    backup(link, file)
    stores.close()
    assert restore(file, link, now=NOW) == data_dir.with_name("data.before-restore-20260101T000000Z")
    assert link.resolve() == data_dir
    assert check_consistent(link / "gateway.db") == {"r1"}


def test_the_root_of_a_volume_is_not_replaced(stores: SqliteStores, data_dir: Path, file: Path) -> None:
    backup(data_dir, file)
    with pytest.raises(StoreError, match="root of a mounted volume"):
        restore(file, Path("/proc"))


def test_nothing_is_restored_under_a_running_gateway(
    stores: SqliteStores, data_dir: Path, file: Path, tmp_path: Path
) -> None:
    filled(stores)
    backup(data_dir, file)
    with pytest.raises(StoreError, match=r"A gateway is using .*Stop it"):
        restore(file, data_dir)
    assert {path.name for path in tmp_path.iterdir()} == {"data", "backup.tar"}
    stores.usage().save(usage_record("r2"))


def test_a_backup_leaves_nothing_behind_in_the_data(stores: SqliteStores, data_dir: Path, file: Path) -> None:
    before = {path.name for path in data_dir.iterdir()}
    backup(data_dir, file)
    assert {path.name for path in data_dir.iterdir()} == before
    assert {path.name for path in file.parent.iterdir()} == {"data", "backup.tar"}


def test_a_part_that_is_erased_meanwhile_is_left_out(
    stores: SqliteStores, data_dir: Path, file: Path, tmp_path: Path
) -> None:
    filled(stores)
    (data_dir / "uploads" / "upload_1" / "part_1").unlink()
    backup(data_dir, file)
    restore(file, tmp_path / "restored")
    assert list((tmp_path / "restored").rglob("part_1")) == []


def test_a_directory_without_a_database_has_no_backup(tmp_path: Path, file: Path) -> None:
    with pytest.raises(StoreError, match="set DATA_DIR"):
        backup(tmp_path / "data", file)
    assert not file.exists()


@pytest.mark.parametrize(
    "change",
    [
        {"gateway.db": None},
        {"credentials.key": None},
        {MANIFEST: None},
        {"gateway.db": b"other"},
        {"credentials.key": b"AAAA"},
        {"../outside": b"x"},
        {"uploads/../../outside": b"x"},
        {"uploads/upload_1/part_2": b"x"},
        {MANIFEST: b"{}"},
        {MANIFEST: b"\xff"},
        {MANIFEST: b"[" * 200_000},
    ],
)
def test_a_changed_backup_is_refused_and_nothing_is_replaced(
    stores: SqliteStores, data_dir: Path, file: Path, tmp_path: Path, change: "dict[str, bytes | None]"
) -> None:
    filled(stores)
    backup(data_dir, file)
    stores.close()
    rewritten(file, change)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(StoreError):
        restore(file, data_dir)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("content", [b"", b"no tar at all", b"\0" * 20_000])
def test_a_file_that_is_no_backup_is_refused(file: Path, data_dir: Path, content: bytes) -> None:
    file.write_bytes(content)
    with pytest.raises(StoreError, match="not a complete backup"):
        restore(file, data_dir)
    assert not data_dir.exists()


def test_a_backup_whose_end_is_missing_is_refused(
    stores: SqliteStores, data_dir: Path, file: Path, tmp_path: Path
) -> None:
    filled(stores)
    backup(data_dir, file)
    file.write_bytes(file.read_bytes()[:-15_000])
    with pytest.raises(StoreError, match="not a complete backup"):
        restore(file, tmp_path / "restored")


def with_database(file: Path, change: str, tmp_path: Path) -> None:
    """Change the database of a backup, and the manifest to match."""
    with tarfile.open(file) as tar:
        database, manifest = tar.extractfile("gateway.db"), tar.extractfile(MANIFEST)
        assert database
        assert manifest
        content, described = database.read(), json.load(manifest)
    copy = tmp_path / "changed.db"
    copy.write_bytes(content)
    connection = apsw.Connection(str(copy))
    connection.execute(change)
    connection.close()
    content = copy.read_bytes()
    copy.unlink()
    described["files"]["gateway.db"] = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    rewritten(file, {"gateway.db": content, MANIFEST: json.dumps(described).encode()})


def test_a_backup_of_a_newer_program_is_refused(
    stores: SqliteStores, data_dir: Path, file: Path, tmp_path: Path
) -> None:
    backup(data_dir, file)
    with_database(file, "PRAGMA user_version = 999", tmp_path)
    with pytest.raises(StoreError, match="newer version") as caught:
        restore(file, tmp_path / "restored")
    assert caught.value.reason == "newer"


def test_a_backup_with_dangling_references_is_refused(
    stores: SqliteStores, data_dir: Path, file: Path, tmp_path: Path
) -> None:
    backup(data_dir, file)
    with_database(file, "INSERT INTO upload_parts VALUES ('none', 'p', 1, 1)", tmp_path)
    with pytest.raises(StoreError, match="not a complete backup"):
        restore(file, tmp_path / "restored")


def test_a_backup_of_a_database_without_tables_is_refused(
    stores: SqliteStores, data_dir: Path, file: Path, tmp_path: Path
) -> None:
    backup(data_dir, file)
    with_database(file, "PRAGMA user_version = 0", tmp_path)
    with pytest.raises(StoreError, match="not a complete backup"):
        restore(file, tmp_path / "restored")


def test_a_member_that_would_unpack_to_more_than_the_file_is_refused(
    stores: SqliteStores, data_dir: Path, file: Path, tmp_path: Path
) -> None:
    filled(stores)
    backup(data_dir, file)
    with tarfile.open(file, "a") as tar:
        bomb = tarfile.TarInfo("uploads/upload_1/part_2")
        bomb.size = 1
        bomb.pax_headers = {"GNU.sparse.map": "0,1", "GNU.sparse.size": str(10**12)}
        tar.addfile(bomb, io.BytesIO(b"x"))
    with pytest.raises(StoreError, match="not a complete backup"):
        restore(file, tmp_path / "restored")


def test_a_restore_needs_little_memory_for_a_large_file(
    stores: SqliteStores, data_dir: Path, file: Path, tmp_path: Path
) -> None:
    size = 50_000_000
    uploads = stores.uploads()
    uploads.open(replace(UPLOAD, bytes=size), 20, 2)
    uploads.write_part(UPLOAD, "part_1", memoryview(bytes(size)))
    uploads.note_part(replace(UPLOAD, bytes=size), "part_1", StoredPart(size, 2), 100)
    backup(data_dir, file)
    tracemalloc.start()
    try:
        restore(file, tmp_path / "restored")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (tmp_path / "restored" / "uploads" / "upload_1" / "part_1").stat().st_size == size
    assert peak < size / 4


def test_a_link_to_the_data_stays_and_its_target_is_replaced(
    stores: SqliteStores, data_dir: Path, file: Path, tmp_path: Path
) -> None:
    backup(data_dir, file)
    stores.close()
    link = tmp_path / "link"
    link.symlink_to(data_dir)
    kept = restore(file, link, now=NOW)
    assert link.is_symlink()
    assert link.resolve() == data_dir
    assert kept == data_dir.with_name(f"{data_dir.name}.before-restore-20260101T000000Z")
