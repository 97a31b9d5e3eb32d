"""What the commands that need MiniStack or Docker say where it is missing. `tests/deployed/` runs them."""

from pathlib import Path

import pytest

from local import ministack, run_aws, sam_local
from server.listener import bind


def test_a_run_without_ministack_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(ministack, "PROGRAMS", tmp_path)
    assert run_aws.main() == 1
    said = capsys.readouterr().err
    assert said.startswith("Cannot start: MiniStack is not installed: make .venv-ministack/stamp")


@pytest.mark.parametrize("port", ["http", "65536", "-1"])
def test_a_port_that_is_none_is_refused_before_anything_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], port: str
) -> None:
    monkeypatch.setattr(ministack, "missing_part", lambda: None)
    monkeypatch.setenv("PORT", port)
    monkeypatch.setenv("RUN_DIR", str(tmp_path / "run"))
    assert run_aws.main() == 1
    assert f"'{port}' is not a port" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_a_port_in_use_is_told_before_anything_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(ministack, "missing_part", lambda: None)
    monkeypatch.setenv("RUN_DIR", str(tmp_path / "run"))
    with bind(0) as taken:
        taken.listen()
        monkeypatch.setenv("PORT", str(taken.getsockname()[1]))
        assert run_aws.main() == 1
    assert "Set PORT to another one." in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_sam_local_without_docker_says_so_and_does_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("sys.argv", ["sam_local"])
    assert sam_local.main() == 0
    assert "there is no docker command" in capsys.readouterr().out
