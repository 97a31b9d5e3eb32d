"""The README's blocks of commands, and pasting them into a shell.

The word after a block's language says what it needs. Readers do not see it.

- `local`: a gateway that `make run` started
- `deployed`: a stack on AWS
- `start`: nothing; it installs, starts or deploys something, which other tests do
- `fragment`: code around it
"""

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
MARKS = ("local", "deployed", "start", "fragment")
URL, STACK = "http://127.0.0.1:3000", "stt-gateway"
_BLOCK = re.compile(r"^```(\w+)([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_PASTED = ("sh", "python", "js")


@dataclass(frozen=True)
class Block:
    """One fenced block of the README; `line` is where it begins."""

    language: str
    mark: str
    text: str
    line: int

    def __str__(self) -> str:
        return f"{self.language}, line {self.line}"


def blocks(document: Path = README) -> list[Block]:
    """All fenced blocks, in their order."""
    text = document.read_text(encoding="utf-8")
    return [
        Block(language, mark.strip(), content, text.count("\n", 0, found.start()) + 1)
        for found in _BLOCK.finditer(text)
        for language, mark, content in [found.groups()]
    ]


def commands(mark: str) -> list[Block]:
    """The blocks that people paste where the `mark` says."""
    return [block for block in blocks() if block.language in _PASTED and block.mark == mark]


def folder(directory: Path) -> Path:
    """A folder in which the README's commands find what they find in a checkout, and the manifest of the README."""
    for name in ("gateway-admin", "local"):
        (directory / name).symlink_to(ROOT / name)
    (manifest,) = (block.text for block in blocks() if block.language == "yaml")
    (directory / "manifest.yaml").write_text(manifest)
    return directory


def paste(block: Block, directory: Path, variables: Mapping[str, str], replaced: Mapping[str, str]) -> str:
    """What the block prints when it is pasted as it is, except for the words to be `replaced`."""
    text = block.text
    for old, new in replaced.items():
        text = text.replace(old, new)
    command = (
        ["bash", "-euo", "pipefail", "-c", text] if block.language == "sh" else [sys.executable, "-c", text]
    )
    done = subprocess.run(
        command,
        cwd=directory,
        env={**os.environ, **variables},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, f"{text}\n{done.stdout}\n{done.stderr}"
    return done.stdout
