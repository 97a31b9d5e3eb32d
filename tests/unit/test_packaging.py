"""The systemd unit, the image and the compose file: what they keep, copy and allow."""

import re
import shutil
import subprocess
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath

import pytest
import yaml

ROOT = Path(__file__).parents[2]
UNIT = ROOT / "deploy" / "systemd" / "stt-gateway.service"
DOCKERFILE = (ROOT / "Dockerfile").read_text()
COMPOSE = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]["gateway"]


def only(pattern: str, text: str) -> str:
    """The one match's group. Fails when there is none, or another."""
    (found,) = re.findall(pattern, text, re.MULTILINE)
    return str(found)


def volume() -> PurePosixPath:
    return PurePosixPath(only(r"^VOLUME (\S+)$", DOCKERFILE))


def copied() -> list[str]:
    """What the image takes from the repository."""
    lines = re.findall(r"^COPY (?!--from)(.+)$", DOCKERFILE, re.MULTILINE)
    return [source for line in lines for source in line.split()[:-1]]


def test_the_service_keeps_its_data_below_its_state_directory() -> None:
    # Below it, not in it: a restore swaps the directory, and needs to write beside it.
    text = UNIT.read_text()
    data_dir = PurePosixPath(only(r"^Environment=DATA_DIR=(\S+)$", text))
    assert data_dir.parent == PurePosixPath("/var/lib") / only(r"^StateDirectory=(\S+)$", text)


def test_the_container_keeps_its_data_below_its_volume() -> None:
    assert PurePosixPath(only(r"DATA_DIR=(\S+)$", DOCKERFILE)).parent == volume()
    (mounted,) = COMPOSE["volumes"]
    assert mounted.partition(":")[2] == str(volume())


@pytest.mark.parametrize("source", copied())
def test_the_build_sees_what_the_image_copies(source: str) -> None:
    assert (ROOT / source).exists()
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    allowed = [line[1:] for line in lines if line.startswith("!")]
    assert any(fnmatch(source, pattern) for pattern in allowed)


def test_the_image_has_every_package_of_the_server_by_its_hash_and_no_other() -> None:
    installed = re.findall(r"pip install (.*?-r \S+)", DOCKERFILE)
    assert [line.split()[-1] for line in installed] == ["requirements/pip.txt", "requirements/server.txt"]
    assert all("--require-hashes" in line for line in installed)


def test_the_container_runs_without_rights_that_it_does_not_need() -> None:
    assert only(r"^USER (\S+)$", DOCKERFILE) != "root"
    assert COMPOSE["read_only"] is True
    assert COMPOSE["cap_drop"] == ["ALL"]
    assert COMPOSE["security_opt"] == ["no-new-privileges:true"]


def test_the_container_is_reached_only_through_the_host_itself() -> None:
    # The gateway speaks plain HTTP: a TLS front on the host serves other machines.
    assert all(port.startswith("127.0.0.1:") for port in COMPOSE["ports"])


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
def test_systemd_accepts_the_unit(tmp_path: Path) -> None:
    copy = tmp_path / UNIT.name
    # systemd looks for the program, which is elsewhere on this machine.
    copy.write_text(re.sub(r"^ExecStart=\S+", "ExecStart=/bin/sh", UNIT.read_text(), flags=re.MULTILINE))
    done = subprocess.run(
        ["systemd-analyze", "verify", copy], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
