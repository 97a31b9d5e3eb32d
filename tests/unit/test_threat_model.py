import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parent.parent
PAGE = TESTS.parent / "docs" / "threat-model.md"
NAMED = sorted(set(re.findall(r"`((?:unit|integration|e2e)/[a-z_/]+)`", PAGE.read_text(encoding="utf-8"))))


@pytest.mark.parametrize("name", NAMED)
def test_every_test_that_the_threat_model_names_exists(name: str) -> None:
    assert (TESTS / f"{name}.py").is_file() or (TESTS / name).is_dir()
