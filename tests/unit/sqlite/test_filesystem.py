from pathlib import Path

import pytest

from server.sqlite.failure import StoreError
from server.sqlite.filesystem import check_is_local, kind_of

MOUNTS = r"""
22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
30 22 0:26 / /mnt/shared rw,relatime shared:2 - nfs4 server:/export rw
31 30 0:27 / /mnt/shared/local rw - tmpfs tmpfs rw
32 22 0:28 / /mnt/with\040space rw - cifs //server/share rw
33 22 0:29 / /mnt/twice rw - nfs server:/old rw
34 33 254:1 / /mnt/twice rw - xfs /dev/vdb rw
"""


@pytest.fixture
def mounts(tmp_path: Path) -> Path:
    file = tmp_path / "mountinfo"
    file.write_text(MOUNTS)
    return file


@pytest.mark.parametrize(
    ("directory", "kind"),
    [
        ("/srv/data", "ext4"),
        ("/mnt/shared/data", "nfs4"),
        ("/mnt/sharedata", "ext4"),
        ("/mnt/shared/local/data", "tmpfs"),
        ("/mnt/with space/data", "cifs"),
        ("/mnt/twice", "xfs"),
    ],
)
def test_a_directory_is_on_the_innermost_and_latest_mount(directory: str, kind: str, mounts: Path) -> None:
    assert kind_of(Path(directory), mounts) == kind


@pytest.mark.parametrize(("directory", "kind"), [("/mnt/shared/data", "nfs4"), ("/mnt/with space", "cifs")])
def test_a_network_file_system_is_refused_by_name(directory: str, kind: str, mounts: Path) -> None:
    with pytest.raises(StoreError, match=rf"network file system \({kind}\).*Set DATA_DIR"):
        check_is_local(Path(directory), mounts)


def test_a_local_disk_is_accepted(mounts: Path) -> None:
    check_is_local(Path("/srv/data"), mounts)


def test_a_system_that_does_not_say_is_accepted(tmp_path: Path) -> None:
    check_is_local(tmp_path, tmp_path / "missing")
