"""The README's commands are known to the tests that paste them, and its targets to the Makefile."""

import re

import pytest

from tests import readme

TARGETS = set(re.findall(r"^([\w-]+):", (readme.ROOT / "Makefile").read_text(), re.MULTILINE))
# In code: at the start of a line or of a span, perhaps after variables.
_CALL = re.compile(r"(?:^|`)(?:[A-Z_]+=\S+ )*make ([a-z][\w-]*)", re.MULTILINE)
NAMED = sorted(set(_CALL.findall(readme.README.read_text())))


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
