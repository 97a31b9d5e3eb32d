"""`gateway-admin backup` and `restore`."""

import stat
from pathlib import Path

import pytest

from server.sqlite.stores import open_stores
from tests.integration.admin.conftest import Administered, listed, run


@pytest.fixture
def data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data directory with one key, which nobody uses."""
    directory = tmp_path / "data"
    stores = open_stores(directory)
    stores.keys().create("alice")
    stores.close()
    monkeypatch.setenv("DATA_DIR", str(directory))
    return directory


@pytest.mark.usefixtures("data_dir")
def test_a_restored_backup_holds_what_there_was_when_it_was_made(tmp_path: Path) -> None:
    file = tmp_path / "monday.backup"
    run("backup", str(file))
    run("keys", "create", "bob")
    told = run("restore", str(file)).stdout
    assert [row["user"] for row in listed("users", "list")] == ["alice"]
    assert "what was there before is in " in told


@pytest.mark.usefixtures("data_dir")
def test_a_backup_is_readable_by_its_owner_alone_and_says_that_it_is_secret(tmp_path: Path) -> None:
    file = tmp_path / "monday.backup"
    assert "SECRET: It contains the key" in run("backup", str(file)).stderr
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


@pytest.mark.usefixtures("data_dir")
def test_a_backup_never_replaces_a_file(tmp_path: Path) -> None:
    file = tmp_path / "monday.backup"
    file.write_text("sunday's")
    assert "give another name" in run("backup", str(file), status=1).stderr
    assert file.read_text() == "sunday's"


def test_a_gateway_in_use_is_backed_up_but_not_restored(here: Administered, tmp_path: Path) -> None:
    here.stores.keys().create("alice")
    file = tmp_path / "monday.backup"
    run("backup", str(file))
    assert "Stop it, restore" in run("restore", str(file), status=1).stderr
    assert len(here.stores.keys().list("alice")) == 1


@pytest.mark.usefixtures("data_dir")
def test_a_file_that_is_no_backup_changes_nothing(tmp_path: Path) -> None:
    file = tmp_path / "holiday.jpg"
    file.write_bytes(b"\xff\xd8\xff" * 1000)
    assert "is not a complete backup" in run("restore", str(file), status=1).stderr
    assert [row["user"] for row in listed("users", "list")] == ["alice"]


def test_a_directory_without_a_gateway_cannot_be_backed_up(tmp_path: Path) -> None:
    file = tmp_path / "monday.backup"
    refused = run("backup", str(file), "--data-dir", str(tmp_path / "typo"), status=1)
    assert refused.stderr.startswith("there is no gateway in ")
    assert not file.exists()


@pytest.mark.usefixtures("data_dir")
def test_a_missing_file_or_directory_is_named(tmp_path: Path) -> None:
    missing = tmp_path / "missing"
    assert run("restore", str(missing), status=1).stderr == f"there is no file {missing}\n"
    refused = run("backup", str(missing / "monday.backup"), status=1)
    assert refused.stderr == f"there is no directory {missing}: create it first\n"


def test_a_backup_can_be_restored_on_a_new_machine(data_dir: Path, tmp_path: Path) -> None:
    file, elsewhere = tmp_path / "monday.backup", tmp_path / "new" / "data"
    run("backup", str(file), "--data-dir", str(data_dir))
    assert "what was there before" not in run("restore", str(file), "--data-dir", str(elsewhere)).stdout
    assert [row["user"] for row in listed("users", "list", "--data-dir", str(elsewhere))] == ["alice"]
