"""The playground's pure modules under Node's own test runner, and the page's size."""

import ast
import json
import shutil
import subprocess
from pathlib import Path

import pytest

from tests import missing

PLAYGROUND = Path(__file__).parents[2] / "functions" / "site" / "playground"
LIMIT_BYTES = 60_000
NODE = shutil.which("node") or ""
needs_node = missing.needs(missing.NODE)


@pytest.mark.node
@needs_node
def test_the_pure_modules_pass_their_own_tests() -> None:
    here = Path(__file__).parent
    done = subprocess.run(
        [NODE, "--test", *map(str, sorted(here.glob("*.test.js")))],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.node
@needs_node
@pytest.mark.parametrize("uploaded", [False, True])
def test_the_python_snippet_is_python(uploaded: bool) -> None:
    call = {
        "base": "http://127.0.0.1:3000",
        "model": "a/b",
        "language": "en",
        "prompt": 'quotes " and \\ and \n lines, ü, \U0001f600',
        "timed": True,
        "file": {"name": "it's.wav", "type": "audio/wav", "size": 1},
        "uploaded": uploaded,
        "partBytes": 4_000_000,
    }
    program = f"""
        import {{ python }} from {json.dumps((PLAYGROUND / "snippets.js").as_uri())};
        process.stdout.write(python({json.dumps(call)}));
    """
    code = subprocess.run(
        [NODE, "--input-type=module", "-e", program], capture_output=True, text=True, check=True
    ).stdout
    strings = {node.value for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Constant)}
    assert {call["prompt"], "it's.wav", "a/b"} <= strings


def test_the_page_is_at_most_60_kb_and_its_files_are_short() -> None:
    files = [path for path in PLAYGROUND.iterdir() if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= LIMIT_BYTES
    assert max(len(path.read_text("utf-8").splitlines()) for path in files) < 400


def test_the_page_names_nothing_on_another_origin_and_parses_no_html() -> None:
    for path in PLAYGROUND.iterdir():
        text = path.read_text("utf-8").replace("http://www.w3.org/2000/svg", "")
        for banned in (
            "http://",
            "https://",
            "innerHTML",
            "insertAdjacentHTML",
            "eval(",
            " style=",
            ' onclick="',
        ):
            assert banned not in text, f"{path.name}: {banned}"
