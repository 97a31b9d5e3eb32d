"""The interactive transcript: seeking, highlighting, keys, and scrolling that gives way to the reader."""

from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Open, Publish
from tests.browser.playground_page import RECOGNISER, SAMPLE, Playground, timed_answer, tone

pytestmark = pytest.mark.browser

SETTLED = "(audio => !audio.paused && !audio.seeking)(document.getElementById('audio'))"
SCROLLED = "document.getElementById('paper').scrollTop > 300"


@pytest.fixture
def heard(playground: Open) -> tuple[Playground, list[dict[str, Any]]]:
    """The sample, transcribed by the recogniser, and the words with their times."""
    page = playground().pick(RECOGNISER).choose(SAMPLE)
    words: list[dict[str, Any]] = page.transcribe()["words"]
    return page, words


@pytest.fixture
def long(playground: Open, publish: Publish) -> Playground:
    """Four minutes of 480 words, in more lines than the paper shows."""
    stub = publish(timed_answer([f"word{index}" for index in range(480)]), features=["timestamps"])
    page = playground().pick(stub.model).choose(tone(240))
    page.transcribe()
    return page


def test_a_click_on_a_word_plays_from_there(heard: tuple[Playground, list[dict[str, Any]]]) -> None:
    page, words = heard
    page.audio("audio.playbackRate = 0.1")  # or else it has moved on before it is asked
    for index in (4, 1):
        page.words.nth(index).click()
        page.until(SETTLED)
        assert page.audio("audio.currentTime") == pytest.approx(words[index]["start"], abs=0.1)
        assert page.audio("audio.paused") is False
        expect(page.lit).to_have_text(words[index]["word"])


def test_the_highlight_follows_playback(heard: tuple[Playground, list[dict[str, Any]]]) -> None:
    page, words = heard
    watch = """() => new Promise((resolve) => {
        const audio = document.getElementById('audio'), seen = [];
        const look = () => {
            const lit = document.querySelector('.word.now');
            if (lit) seen.push([audio.currentTime, Number(lit.dataset.index)]);
            audio.ended ? resolve(seen) : requestAnimationFrame(look);
        };
        document.getElementById('play').click();
        look();
    })"""
    seen = page.page.evaluate(watch)
    assert {index for _, index in seen} == set(range(len(words)))
    wrong = [
        (now, index)
        for now, index in seen
        if not words[index]["start"] - 0.1 <= now <= words[index]["end"] + 0.4
    ]
    assert wrong == []


def test_keys_move_seek_and_pause(heard: tuple[Playground, list[dict[str, Any]]]) -> None:
    page, words = heard
    page.words.nth(0).focus()
    press = page.page.keyboard.press
    for key in ("ArrowRight", "ArrowRight", "ArrowRight", "ArrowLeft"):
        press(key)
    expect(page.words.nth(2)).to_be_focused()
    page.audio("audio.playbackRate = 0.1")
    press("Enter")
    page.until(SETTLED)
    assert page.audio("audio.currentTime") == pytest.approx(words[2]["start"], abs=0.1)
    press("Space")
    assert page.audio("audio.paused") is True
    press("Space")
    assert page.audio("audio.paused") is False
    press("End")
    expect(page.words.last).to_be_focused()
    press("Home")
    expect(page.words.first).to_be_focused()
    assert page.page.locator(".word[tabindex='0']").count() == 1


def test_arrows_up_and_down_move_by_line(long: Playground) -> None:
    long.words.nth(0).focus()
    long.page.keyboard.press("ArrowDown")
    long.page.keyboard.press("ArrowDown")
    expect(long.words.nth(16)).to_be_focused()
    long.page.keyboard.press("ArrowUp")
    expect(long.words.nth(8)).to_be_focused()


def test_the_waveform_seeks(heard: tuple[Playground, list[dict[str, Any]]]) -> None:
    page, _ = heard
    seek = page.page.get_by_label("Playback position")
    box = seek.bounding_box()
    assert box is not None
    seek.click(position={"x": box["width"] / 2, "y": box["height"] / 2})
    assert page.audio("audio.currentTime / audio.duration") == pytest.approx(0.5, abs=0.02)
    page.page.keyboard.press("ArrowLeft")
    assert page.audio("audio.currentTime") == 0


def top_of(page: Page) -> float:
    top: float = page.evaluate("document.getElementById('paper').scrollTop")
    return top


def test_scrolling_follows_the_voice_and_yields_to_the_reader(long: Playground) -> None:
    page = long.page
    long.words.nth(0).click()
    long.audio("(audio.currentTime = 200, 1)")
    long.until(SCROLLED)
    expect(page.locator("#follow")).to_be_hidden()
    long.paper.hover()
    page.mouse.wheel(0, -100_000)
    expect(page.locator("#follow")).to_be_visible()
    long.until("document.getElementById('paper').scrollTop === 0")
    lit = long.lit.inner_text()
    expect(long.lit).not_to_have_text(lit)
    assert top_of(page) == 0
    page.locator("#follow").click()
    long.until(SCROLLED)
    expect(page.locator("#follow")).to_be_hidden()


def test_segments_without_words_are_clicked_as_a_whole(playground: Open, publish: Publish) -> None:
    answer = timed_answer(["one", "two", "three", "four"], per_segment=2)
    del answer["words"]
    stub = publish(answer, features=["timestamps"])
    page = playground().pick(stub.model).choose(tone(3))
    page.transcribe()
    expect(page.words).to_have_text(["one two", "three four"])
    page.audio("(audio.playbackRate = 0.1)")
    page.words.nth(1).click()
    page.until(SETTLED)
    assert page.audio("audio.currentTime") == pytest.approx(1.0, abs=0.1)


def test_a_file_that_cannot_be_decoded_is_said_and_still_sent(playground: Open, publish: Publish) -> None:
    stub = publish({"text": "the provider is the judge"})
    page = playground().pick(stub.model)
    page.choose({"name": "odd.mp3", "mimeType": "audio/mpeg", "buffer": b"ID3" + b"\x00\x01" * 500})
    expect(page.page.locator("#wave-note")).to_contain_text("cannot play")
    expect(page.page.get_by_role("button", name="Play")).to_be_disabled()
    page.transcribe()
    expect(page.paper).to_have_text("the provider is the judge")


def test_the_waveform_is_drawn(playground: Open) -> None:
    page = playground().choose(SAMPLE)
    expect(page.page.locator("#wave-note")).to_be_empty()
    heights = """() => {
        const { width, height } = document.getElementById('wave');
        const pixels = document.getElementById('wave').getContext('2d').getImageData(0, 0, width, height).data;
        const opaque = (x, y) => pixels[(y * width + x) * 4 + 3] > 128;
        const tall = (x) => Array.from({ length: height }, (_, y) => opaque(x, y)).filter(Boolean).length;
        return Array.from({ length: width }, (_, x) => tall(x));
    }"""
    found = page.page.evaluate(heights)
    assert max(found[8:]) > 100
    assert len(set(found)) > 10
