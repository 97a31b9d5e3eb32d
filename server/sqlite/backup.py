"""Copy a data directory into one file while the gateway runs, and put such a copy back."""

import hashlib
import json
import os
import shutil
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import IO, Any

import apsw

from server.sqlite import schema
from server.sqlite.credentials import decoded
from server.sqlite.failure import BROKEN, CORRUPT, LOCKED, StoreError, explained
from server.sqlite.files import make_directory, swap, sync_directory
from server.sqlite.filesystem import is_network, kind_of
from server.sqlite.layout import DATABASE, KEY, UPLOADS
from server.sqlite.occupancy import Occupancy

MANIFEST = "manifest.json"
# The format of the file, so that a later program can read or refuse it.
FORMAT = 1
_PIECE_BYTES = 1024 * 1024


def backup(data_dir: Path, file: Path) -> None:
    """Write a copy of the database, the credentials' key and the parts of uploads to `file`, a tar that only its owner
    can read. Replaces `file` once the copy is complete. Raises StoreError.

    The gateway may run meanwhile. The database's copy is its state at one moment.
    """
    data_dir, file = data_dir.resolve(), file.absolute()
    if not (data_dir / DATABASE).is_file():
        raise StoreError(
            BROKEN, f"{data_dir} has no {DATABASE}: set DATA_DIR to the gateway's data directory."
        )
    draft = file.with_name(f".{file.name}.draft")
    # A full disk here must not stop the gateway, so the copy is made where the backup goes if SQLite can write there.
    scratch = data_dir if is_network(kind_of(file.parent)) else file.parent
    with explained(file), tempfile.TemporaryDirectory(dir=scratch, prefix=".backup-") as folder:
        copy = Path(folder) / DATABASE
        with _opened(data_dir / DATABASE) as connection:
            connection.execute("VACUUM INTO ?", (str(copy),))
        with _opened(copy) as connection:
            version = schema.version_of(connection)
            parts = connection.execute("SELECT upload, part_id FROM upload_parts").fetchall()
        sources = {DATABASE: copy, KEY: data_dir / KEY}
        for upload, part_id in parts:
            name = f"{UPLOADS}/{upload}/{part_id}"
            sources[name] = data_dir / name
        try:
            _pack(draft, sources, version)
            draft.replace(file)
        finally:
            draft.unlink(missing_ok=True)
        sync_directory(file.parent)


def restore(file: Path, data_dir: Path, *, now: datetime | None = None) -> Path | None:
    """Check the backup in `file` and put it in the place of `data_dir`. Returns the directory that keeps what was there
    before, beside it; None when there was nothing. Raises StoreError, and then nothing has changed."""
    # A link stays, and its target is replaced: that is the disk on which the data belongs.
    file, data_dir = file.absolute(), data_dir.resolve()
    if data_dir.is_mount():
        raise StoreError(
            BROKEN,
            f"{data_dir} is the root of a mounted volume, which cannot be replaced as a whole. Set DATA_DIR to a "
            "directory inside it.",
        )
    kept = data_dir.with_name(f"{data_dir.name}.before-restore-{now or datetime.now(UTC):%Y%m%dT%H%M%SZ}")
    with (
        explained(file),
        tempfile.TemporaryDirectory(dir=_existing(data_dir.parent), prefix=".restore-") as folder,
    ):
        fresh = Path(folder) / "data"
        fresh.mkdir(mode=0o700)
        _unpack(file, fresh)
        _check(fresh, file)
        with explained(data_dir):
            if not data_dir.exists():
                fresh.rename(data_dir)
                sync_directory(data_dir.parent)
                return None
            with _unused(data_dir):
                swap(fresh, data_dir)
                fresh.rename(kept)
                sync_directory(data_dir.parent)
    return kept


def _existing(directory: Path) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    return directory


@contextmanager
def _opened(path: Path) -> Iterator[apsw.Connection]:
    """A connection that changes nothing."""
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        connection.set_busy_timeout(10_000)
        yield connection
    finally:
        connection.close()


@contextmanager
def _unused(data_dir: Path) -> Iterator[None]:
    """Keep every gateway out of the directory. Raises StoreError when one uses it."""
    occupancy = Occupancy(data_dir)
    with occupancy.entrance():
        try:
            if not occupancy.try_alone():
                raise StoreError(
                    LOCKED, f"A gateway is using {data_dir}. Stop it, restore, then start it again."
                )
            yield
        finally:
            occupancy.close()


# --- the file


class _Hashing:
    """Reads a file, and hashes what was read."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.digest = hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        content = self._file.read(size)
        self.digest.update(content)
        return content


def _pack(draft: Path, sources: dict[str, Path], version: int) -> None:
    """Write the sources and a manifest of them to a tar, and the tar to the disk."""
    files: dict[str, dict[str, Any]] = {}
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as target:
        os.fchmod(target.fileno(), 0o600)
        with tarfile.open(fileobj=target, mode="w", format=tarfile.PAX_FORMAT) as tar:
            for name, path in sources.items():
                try:
                    source = path.open("rb")
                except FileNotFoundError:
                    if path.parent.parent.name != UPLOADS:
                        raise
                    continue  # a part was erased after the database was copied
                with source:
                    member = tarfile.TarInfo(name)
                    member.size, member.mode = os.fstat(source.fileno()).st_size, 0o600
                    hashing = _Hashing(source)
                    tar.addfile(member, hashing)
                files[name] = {"bytes": member.size, "sha256": hashing.digest.hexdigest()}
            created_at = datetime.now(UTC).isoformat(timespec="seconds")
            manifest = {"format": FORMAT, "schema": version, "created_at": created_at, "files": files}
            content = json.dumps(manifest, indent=1).encode()
            member = tarfile.TarInfo(MANIFEST)
            member.size, member.mode = len(content), 0o600
            tar.addfile(member, BytesIO(content))
        target.flush()
        os.fsync(target.fileno())


def _unpack(file: Path, directory: Path) -> None:
    """Write the files of a backup to `directory`. Raises StoreError unless they are those of its manifest."""
    found: dict[str, dict[str, Any]] = {}
    manifest: Any = None
    try:
        with tarfile.open(file, mode="r:") as tar:
            for member in tar:
                # A sparse member can be any number of times larger than the file.
                is_plain = member.isreg() and not member.issparse()
                source = tar.extractfile(member) if is_plain else None
                if source is None or member.name in found:
                    raise _damaged(file)
                if member.name == MANIFEST:
                    manifest = json.loads(source.read())
                else:
                    found[member.name] = _place(directory, member.name, source, file)
    except (tarfile.TarError, ValueError, RecursionError) as error:
        raise _damaged(file) from error
    if not isinstance(manifest, dict) or not {DATABASE, KEY} <= found.keys():
        raise _damaged(file)
    if manifest.get("format") != FORMAT:
        raise StoreError(BROKEN, f"{file} has a format that this version of the gateway does not know.")
    if manifest.get("files") != found:
        raise _damaged(file)


def _place(directory: Path, name: str, source: IO[bytes], file: Path) -> dict[str, Any]:
    """Write one file of a backup, whose name must be one that a backup has. Returns what a manifest says about it."""
    folder, *rest = name.split("/")
    if name not in (DATABASE, KEY) and not (
        folder == UPLOADS and len(rest) == 2 and all(_is_plain(each) for each in rest)
    ):
        raise _damaged(file)
    path = directory / name
    for parent in reversed(path.relative_to(directory).parents):
        make_directory(directory / parent)
    hashing = _Hashing(source)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as target:
        # In pieces: a database may be larger than the memory.
        shutil.copyfileobj(hashing, target, _PIECE_BYTES)
        target.flush()
        os.fsync(target.fileno())
        size = target.tell()
    sync_directory(path.parent)
    return {"bytes": size, "sha256": hashing.digest.hexdigest()}


def _is_plain(name: str) -> bool:
    return bool(name) and name.replace("_", "").replace("-", "").isalnum() and name.isascii()


def _check(directory: Path, file: Path) -> None:
    """Raise StoreError when the database is damaged or too new, or the key is none."""
    with _opened(directory / DATABASE) as connection:
        problems = connection.execute("PRAGMA integrity_check").fetchall()
        if problems != [("ok",)] or connection.execute("PRAGMA foreign_key_check").fetchall():
            raise _damaged(file)
        version = schema.version_of(connection)
        if not version:  # without tables: a gateway would start with it, and know nobody
            raise _damaged(file)
        schema.check_is_known(version, schema.newest(), file)
    decoded((directory / KEY).read_bytes(), file)


def _damaged(file: Path) -> StoreError:
    return StoreError(CORRUPT, f"{file} is not a complete backup: it is damaged, or something else made it.")
