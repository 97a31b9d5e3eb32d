"""Refuse file systems on which SQLite's locks and shared memory do not work."""

import re
from pathlib import Path

from server.sqlite.failure import NETWORK, StoreError

# The WAL's index is memory that processes share through a file, and file locks must be seen by every process at once.
# Network file systems give neither (sqlite.org/wal.html, "All processes must be on the same host computer"). 9p is
# what virtual machines use for their host's folders, such as C: in WSL.
_NETWORK = {
    *("nfs", "nfs4", "cifs", "smb3", "smbfs", "ncpfs", "afs", "9p", "ceph", "lustre", "glusterfs", "beegfs"),
    *("fuse.sshfs", "fuse.glusterfs", "fuse.ceph", "fuse.rclone", "fuse.s3fs", "fuse.gcsfuse", "davfs"),
}
_MOUNTS = Path("/proc/self/mountinfo")


def check_is_local(directory: Path, mounts: Path = _MOUNTS) -> None:
    """Raise StoreError when `directory` is on a network file system. Only Linux says which one it is on."""
    kind = kind_of(directory, mounts)
    if is_network(kind):
        raise StoreError(
            NETWORK,
            f"{directory} is on a network file system ({kind}), where a database can be damaged because locks do "
            "not work reliably. Set DATA_DIR to a directory on a local disk.",
        )


def is_network(kind: str | None) -> bool:
    """Whether it is the type of a network file system."""
    return kind in _NETWORK


def kind_of(directory: Path, mounts: Path = _MOUNTS) -> str | None:
    """The type of the file system that holds `directory`; None where it cannot be told."""
    try:
        lines = mounts.read_text().splitlines()
    except OSError:
        return None
    place, kind, depth = directory.resolve(), None, -1
    for line in lines:
        # proc_pid_mountinfo(5): id, parent, device, root, mount point, options, optional fields, "-", type, ...
        before, _, after = line.partition(" - ")
        fields = before.split(" ")
        if len(fields) < 5 or not after:
            continue
        point = Path(_unescaped(fields[4]))
        # Of two mounts on one point, the later one covers the earlier.
        if place.is_relative_to(point) and len(point.parts) >= depth:
            kind, depth = after.split(" ")[0], len(point.parts)
    return kind


def _unescaped(text: str) -> str:
    """Reverse the kernel's octal escapes of spaces and backslashes."""
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), text)
