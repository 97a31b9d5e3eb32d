"""The README's commands are known to the tests that paste them, and its targets to the Makefile."""

import re

import pytest

from tests import readme
from tests.running import ROOT

TARGETS = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
NAMED = sorted({*re.findall(r"\bmake ([a-z][\w-]*)", readme.README.read_text())})


@pytest.mark.parametrize(
    "block", [block for block in readme.blocks() if block.language in ("sh", "python", "js")], ids=str
)
def test_every_block_of_commands_says_what_it_needs(block: readme.Block) -> None:
    assert block.mark in readme.MARKS


@pytest.mark.parametrize("mark", ["local", "deployed", "start"])
def test_there_are_blocks_of_each_kind(mark: str) -> None:
    assert readme.commands(mark)


@pytest.mark.parametrize("target", NAMED)
def test_every_target_that_the_readme_names_exists(target: str) -> None:
    assert target in TARGETS
