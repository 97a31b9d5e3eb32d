"""Files in a folder, for any path."""

from pathlib import Path

import pytest

from gateway.errors import NotFound
from gateway.site import asset


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "playground"
    (folder / "parts").mkdir(parents=True)
    (folder / "page.js").write_text("script")
    (folder / "parts" / "part.css").write_text("style")
    (folder / "note.txt").write_text("no type of ours")
    (folder / "folder.js").mkdir()
    (tmp_path / "secret.js").write_text("secret")
    (folder / "out.js").symlink_to(tmp_path / "secret.js")
    (folder / "loop.js").symlink_to(folder / "loop.js")
    return folder


@pytest.mark.parametrize(("name", "text"), [("page.js", "script"), ("parts/part.css", "style")])
def test_a_file_is_served_with_its_type_and_a_hash(folder: Path, name: str, text: str) -> None:
    found = asset(folder, name)
    assert found.text == text
    assert found.content_type.startswith("text/")
    assert found.etag.strip('"')


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        "/",
        "parts",
        "folder.js",
        "none.js",
        "note.txt",
        "page.JS",
        "\0.js",
        "page.js\0",
        "\0/page.js",
        pytest.param("x" * 5000 + ".js", id="long name"),
        pytest.param("x/" * 5000 + "page.js", id="long path"),
        pytest.param("../" * 3000 + "page.js", id="many steps up"),
        "\ud800.js",
        "\udcff.js",
        "../secret.js",
        "parts/../../secret.js",
        "parts/../page.js",
        "./page.js",
        "parts//part.css",
        "//page.js",
        "..\\secret.js",
        "parts\\part.css",
        "/etc/passwd",
        "out.js",
        "loop.js",
        "page.js/",
        "page.js/page.js",
        "page.js\n",
    ],
)
def test_anything_else_is_not_found(folder: Path, name: str) -> None:
    with pytest.raises(NotFound):
        asset(folder, name)


def test_an_absolute_path_into_the_folder_is_not_found(folder: Path) -> None:
    with pytest.raises(NotFound):
        asset(folder, str(folder / "page.js"))
