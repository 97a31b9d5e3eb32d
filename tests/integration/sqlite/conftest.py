"""Stores in a directory of their own, and a directory whose permissions count."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from server.sqlite.stores import SqliteStores, open_stores

_NOBODY = 65534


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def stores(data_dir: Path) -> Iterator[SqliteStores]:
    opened = open_stores(data_dir)
    yield opened
    opened.close()


@pytest.fixture
def as_nobody() -> Iterator[Path]:
    """A directory of a user who is not root: permissions do not bind root."""
    directory = Path(tempfile.mkdtemp(prefix="stt-gateway-"))
    is_root = os.geteuid() == 0
    if is_root:
        os.chown(directory, _NOBODY, _NOBODY)
        os.seteuid(_NOBODY)
    try:
        yield directory
    finally:
        if is_root:
            os.seteuid(0)
        shutil.rmtree(directory)
