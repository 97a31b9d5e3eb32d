"""`python -m tests.browser.screenshots [base URL [folder]]`: the playground's main states, as pictures.

Needs `make run` in another terminal. Each picture is made by clicking through the page, with the local
recogniser and, for the downgrade, a stub provider.
"""

import sys
import wave
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.browser.conftest import ARGUMENTS, CHROMIUM
from tests.browser.playground_page import RECOGNISER, SAMPLE, Playground
from tests.browser.published_stub import PublishedStub

BASE_URL = "http://127.0.0.1:3000"
FOLDER = Path(__file__).parents[2] / "docs" / "playground"
KEY = "sk-local-alice-0000000000000000"
WIDE = (1280, 980)
PHONE = (360, 780)


def main(base_url: str = BASE_URL, folder: str = str(FOLDER)) -> None:
    Path(folder).mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory() as temporary, sync_playwright() as playwright:
        speech = Path(temporary) / "speech.wav"
        say_thrice(speech)
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        for scheme in ("light", "dark"):
            take(browser, base_url, Path(folder), scheme, speech)
        browser.close()


def say_thrice(path: Path) -> None:
    """The sample's sentence three times, with pauses: enough for lines to tell apart."""
    with wave.open(str(SAMPLE), "rb") as sample, wave.open(str(path), "wb") as out:
        out.setparams(sample.getparams())
        said = sample.readframes(sample.getnframes())
        pause = b"\x00\x00" * int(0.8 * sample.getframerate())
        for _ in range(3):
            out.writeframes(said + pause)


def take(
    browser: Browser, base_url: str, folder: Path, scheme: Literal["light", "dark"], speech: Path
) -> None:
    """All states on a wide window, and the result on a phone."""

    def start(size: tuple[int, int]) -> Playground:
        context = browser.new_context(
            viewport={"width": size[0], "height": size[1]}, color_scheme=scheme, permissions=["microphone"]
        )
        return Playground(context.new_page(), f"{base_url}/playground").open()

    def shoot(page: Page, name: str) -> None:
        page.wait_for_timeout(200)
        page.screenshot(path=folder / f"{name}-{scheme}.png")

    page = start(WIDE)
    shoot(page.page, "empty")
    stub = PublishedStub(base_url, KEY, ["timestamps"], lambda _: {"text": "we will meet at the station"})
    stub.name, stub.model, stub.refuses_verbose = "garden-shed", "example/plain-asr", True
    with stub:
        page.connect(KEY).pick(stub.model).choose(speech)
        page.transcribe()
        shoot(page.page, "downgraded")
        page.pick(RECOGNISER)
        page.go.click()
        expect(page.status).to_contain_text("Transcribing 2.")
        shoot(page.page, "working")
        expect(page.words).to_have_count(24, timeout=60_000)
        play_a_word(page)
        shoot(page.page, "result")
        page.page.locator("summary").click()
        page.page.evaluate("scrollTo(0, document.body.scrollHeight)")
        shoot(page.page, "call")
        page.page.locator("summary").click()
        page.pick(stub.model)
    page.page.wait_for_timeout(5500)  # the gateway may remember the provider for five seconds
    page.go.click()
    expect(page.problem).to_be_visible()
    page.page.evaluate("scrollTo(0, 0)")
    shoot(page.page, "problem")
    page.page.locator("#remove").click()
    page.page.locator("#record").click()
    page.page.wait_for_timeout(7000)
    page.page.evaluate("scrollTo(0, 0)")
    shoot(page.page, "recording")
    page.page.context.close()

    phone = start(PHONE).connect(KEY).pick(RECOGNISER).choose(speech)
    phone.transcribe()
    play_a_word(phone)
    phone.page.locator("#stage").evaluate("stage => scrollTo(0, stage.offsetTop - 12)")
    shoot(phone.page, "phone")
    phone.page.context.close()


def play_a_word(page: Playground) -> None:
    """Plays from the middle and stops in that word, so that the picture shows it lit."""
    page.audio("audio.playbackRate = 0.1")
    page.words.nth(13).click()
    page.page.wait_for_timeout(600)
    page.audio("audio.pause()")
    page.page.mouse.move(0, 0)


if __name__ == "__main__":
    main(*sys.argv[1:])
