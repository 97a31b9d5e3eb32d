"""A file system for SQLite on which the power can fail and the disk can fill up."""

import random
import shutil
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from threading import RLock
from typing import IO

import apsw

_SECTOR_BYTES = 512
_numbers = count()


@dataclass
class UnreliableDisk:
    """Writes stay in memory until a sync. A power cut drops them, or leaves any part of them.

    `writes_left` is the number of writes until the power fails, `room` the bytes by which files may still grow; None
    means no limit.
    """

    writes_left: int | None = None
    room: int | None = None
    name: str = field(default_factory=lambda: f"unreliable-{next(_numbers)}")
    images: dict[str, bytearray] = field(default_factory=dict)
    # What was written, or the size that a file was cut to, since its last sync.
    pending: defaultdict[str, list[tuple[int, bytes] | int]] = field(
        default_factory=lambda: defaultdict(list)
    )
    lock: RLock = field(default_factory=RLock)

    @property
    def is_off(self) -> bool:
        return self.writes_left is not None and self.writes_left <= 0

    def check_power(self) -> None:
        if self.is_off:
            raise apsw.IOError("the power is off")

    def after_power_cut(self, directory: Path, target: Path, seed: int) -> None:
        """Copy what a restart finds: all that was synced, and of the rest any part, down to single sectors."""
        luck = random.Random(seed)
        target.mkdir()
        for path in directory.iterdir():
            if not path.name.endswith("-shm"):
                shutil.copy(path, target)
        for name, changes in self.pending.items():
            share = luck.choice((0.0, 0.5, 0.9, 1.0))
            with (target / Path(name).name).open("r+b") as file:
                for change in changes:
                    if luck.random() < share:
                        self._apply(file, change, luck)

    @staticmethod
    def _apply(file: "IO[bytes]", change: tuple[int, bytes] | int, luck: random.Random) -> None:
        if isinstance(change, int):
            file.truncate(change)
            return
        offset, content = change
        for start in range(0, len(content), _SECTOR_BYTES):
            if luck.random() < 0.9:
                file.seek(offset + start)
                file.write(content[start : start + _SECTOR_BYTES])


@contextmanager
def mounted(disk: UnreliableDisk) -> Iterator[UnreliableDisk]:
    """Register the disk under its name with SQLite."""
    vfs = _FileSystem(disk)
    yield disk
    vfs.unregister()


class _FileSystem(apsw.VFS):
    def __init__(self, disk: UnreliableDisk) -> None:
        super().__init__(disk.name, "")
        self._disk = disk

    def xOpen(self, name: "str | apsw.URIFilename | None", flags: list[int]) -> apsw.VFSFile:
        if name is None:
            return apsw.VFSFile("", name, flags)
        return _File(self._disk, name, flags)

    def xDelete(self, filename: str, syncdir: bool) -> None:
        with self._disk.lock:
            self._disk.check_power()
            self._disk.images.pop(filename, None)
            self._disk.pending.pop(filename, None)
            super().xDelete(filename, syncdir)


class _File(apsw.VFSFile):
    def __init__(self, disk: UnreliableDisk, name: "str | apsw.URIFilename", flags: list[int]) -> None:
        super().__init__("", name, flags)
        self._disk = disk
        self._name = name if isinstance(name, str) else name.filename()
        with disk.lock:
            if self._name not in disk.images:
                size = super().xFileSize()
                disk.images[self._name] = bytearray(super().xRead(size, 0) if size else b"")

    @property
    def _image(self) -> bytearray:
        return self._disk.images[self._name]

    def xRead(self, amount: int, offset: int) -> bytes:
        with self._disk.lock:
            self._disk.check_power()
            return bytes(self._image[offset : offset + amount])

    def xFileSize(self) -> int:
        with self._disk.lock:
            return len(self._image)

    def xWrite(self, data: bytes, offset: int) -> None:
        disk = self._disk
        with disk.lock:
            disk.check_power()
            if disk.writes_left is not None:
                disk.writes_left -= 1
            growth = max(0, offset + len(data) - len(self._image))
            if disk.room is not None:
                if growth > disk.room:
                    raise apsw.FullError("the disk is full")
                disk.room -= growth
            self._image.extend(bytes(growth))
            self._image[offset : offset + len(data)] = data
            disk.pending[self._name].append((offset, bytes(data)))

    def xTruncate(self, newsize: int) -> None:
        with self._disk.lock:
            self._disk.check_power()
            del self._image[newsize:]
            self._disk.pending[self._name].append(newsize)

    def xSync(self, flags: int) -> None:
        with self._disk.lock:
            self._disk.check_power()
            for change in self._disk.pending.pop(self._name, []):
                if isinstance(change, int):
                    super().xTruncate(change)
                else:
                    super().xWrite(change[1], change[0])
