""" "Show me the call": what it shows, pasted and run, does what the page did."""

import subprocess
import sys
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests import missing
from tests.browser.conftest import Open, Publish
from tests.browser.playground_page import SAMPLE, timed_answer

pytestmark = pytest.mark.browser

NODE_MODULES = Path(__file__).parents[2] / "node_modules"
PACKAGES = {"curl": "curl", "jq": "jq", "split": "coreutils", "node": "nodejs npm"}
NAME = 'it\'s a "sample" & more.wav'


def command_for(tab: str, code: str, folder: Path) -> list[str]:
    """How a person would run it, in a folder that has the file; skips where a program is missing."""
    needed = {"curl": ["curl", "jq", "split"], "Node": ["node"], "Python": []}[tab]
    for program in needed:
        if reason := missing.program(program, f"apt-get install {PACKAGES[program]}"):
            pytest.skip(reason)
    if tab == "curl":
        return ["sh", "-c", code]
    if tab == "Python":
        return [sys.executable, "-W", "ignore::ResourceWarning", "-c", code]
    if reason := missing.node_package("openai"):
        pytest.skip(reason)
    (folder / "node_modules").symlink_to(NODE_MODULES)
    (folder / "call.mjs").write_text(code, "utf-8")
    return ["node", "call.mjs"]


def small_requests(page: Page) -> None:
    page.route(
        "**/playground/config.json", lambda route: route.fulfill(json={"single_request_bytes": 10_000})
    )


@pytest.mark.parametrize("uploaded", [False, True], ids=["direct", "uploaded"])
@pytest.mark.parametrize("tab", ["curl", "Python", "Node"])
def test_the_shown_code_sends_what_the_page_sent(
    playground: Open, publish: Publish, tmp_path: Path, tab: str, uploaded: bool
) -> None:
    stub = publish(timed_answer(["one", "two"]), features=["timestamps"])
    file = tmp_path / NAME
    file.write_bytes(SAMPLE.read_bytes())
    page = playground(prepare=small_requests if uploaded else None).pick(stub.model).choose(file)
    page.page.get_by_label("Prompt").fill('Straße; "quoted" $HOME')
    page.page.get_by_label("Language").fill("de")
    page.transcribe()
    page.page.locator("summary").click()
    page.page.get_by_role("tab", name=tab).click()
    code = page.page.locator("#code").inner_text()
    assert stub.key not in code
    assert ("uploads" in code) is uploaded

    code = code.replace("YOUR_API_KEY", stub.key)
    done = subprocess.run(
        command_for(tab, code, tmp_path),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "one two" in done.stdout, done.stderr
    by_page, by_code = stub.bodies
    for sent in (
        'Straße; "quoted" $HOME'.encode(),
        b"verbose_json",
        b"\r\n\r\nword\r\n",
        b"\r\n\r\nsegment\r\n",
        b"\r\n\r\nde\r\n",
    ):
        assert sent in by_page
        assert sent in by_code
    assert SAMPLE.read_bytes() in by_code


def test_the_panel_follows_the_settings_and_keeps_the_last_call(playground: Open, publish: Publish) -> None:
    stub = publish({"text": "said"})
    page = playground().pick(stub.model)
    page.page.locator("summary").click()
    code = page.page.locator("#code")
    expect(page.page.locator("#call-note")).to_have_text("as it will be sent")
    page.page.get_by_label("Language").fill("fr")
    expect(code).to_contain_text("-F language=fr")
    page.choose(SAMPLE).transcribe()
    expect(page.page.locator("#call-note")).to_have_text("as it was sent")
    page.page.get_by_label("Language").fill("it")
    expect(code).to_contain_text("-F language=fr")
    page.page.get_by_role("tab", name="curl").focus()
    page.page.keyboard.press("ArrowRight")
    expect(page.page.get_by_role("tab", name="Python")).to_be_focused()
    expect(code).to_contain_text("from openai import OpenAI")
