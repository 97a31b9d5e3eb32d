"""Every command of the README that needs a local run works as pasted."""

import json
import re
import shutil
from pathlib import Path

import pytest

from tests import readme
from tests.readme import Block
from tests.running import Gateway

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed"),
]
LOCAL = readme.commands("local")


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return readme.folder(tmp_path_factory.mktemp("checkout"))


def data_dir_of(gateway: Gateway) -> Path:
    """The local run of the tests has a data directory of its own, and prints it."""
    printed = re.search(r"^ +data +(\S+)", gateway.log.read_text(), re.MULTILINE)
    assert printed, gateway.log.read_text()
    return readme.ROOT / printed[1]


def paste(block: Block, gateway: Gateway, checkout: Path) -> str:
    variables = {"DATA_DIR": str(data_dir_of(gateway)), "PORT": str(gateway.port)}
    return readme.paste(block, checkout, variables, {readme.URL: gateway.url})


@pytest.mark.parametrize("block", LOCAL, ids=str)
def test_a_block_works_as_pasted(block: Block, gateway: Gateway, checkout: Path) -> None:
    assert paste(block, gateway, checkout)


def test_the_printed_answer_is_the_real_one(gateway: Gateway, checkout: Path) -> None:
    (curl,) = (block for block in LOCAL if block.text.startswith("curl "))
    (answer,) = (block for block in readme.blocks() if block.language == "json")
    assert json.loads(paste(curl, gateway, checkout)) == json.loads(answer.text)
