"""The playground as a person uses it, and the audio that the tests give it."""

import io
import wave
from pathlib import Path
from typing import Any

from playwright.sync_api import Locator, Page, expect

SAMPLE = Path(__file__).parents[2] / "local" / "samples" / "speech.wav"
RECOGNISER = "pocketsphinx/en-us"


def tone(seconds: float, rate: int = 8000) -> dict[str, Any]:
    """A WAV of a soft square wave, as Playwright takes files: something to see and to play, quick to make."""
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(rate)
        out.writeframes((b"\x00\x04" * 20 + b"\x00\xfc" * 20) * int(seconds * rate / 40))
    return {"name": "tone.wav", "mimeType": "audio/wav", "buffer": file.getvalue()}


def timed_answer(words: list[str], seconds_each: float = 0.5, per_segment: int = 8) -> dict[str, Any]:
    """A verbose answer with evenly spaced words and segments."""
    spans = [
        {"word": word, "start": round(index * seconds_each, 3), "end": round((index + 1) * seconds_each, 3)}
        for index, word in enumerate(words)
    ]
    groups = [spans[at : at + per_segment] for at in range(0, len(spans), per_segment)]
    segments = [
        {
            "id": index,
            "start": group[0]["start"],
            "end": group[-1]["end"],
            "text": " ".join(str(span["word"]) for span in group),
        }
        for index, group in enumerate(groups)
    ]
    text = " ".join(words)
    return {
        "text": text,
        "language": "en",
        "duration": len(words) * seconds_each,
        "words": spans,
        "segments": segments,
    }


class Playground:
    """What can be done on the page."""

    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        self.url = url
        self.words = page.locator(".word")
        self.lit = page.locator(".word.now")
        self.paper = page.locator("#paper")
        self.problem = page.locator(".problem")
        self.status = page.locator("#status")
        self.go = page.locator("#go")

    def open(self) -> "Playground":
        self.page.goto(self.url)
        return self

    def connect(self, key: str) -> "Playground":
        self.page.get_by_label("API key").fill(key)
        self.page.get_by_role("button", name="Connect").click()
        expect(self.page.locator("#key-note")).to_contain_text("Connected")
        return self

    def radio(self, model: str) -> Locator:
        return self.page.get_by_role("radio", name=model)

    def pick(self, model: str) -> "Playground":
        """Picks a model, refreshing the list until it is there: a new provider is seen within five seconds."""
        for _ in range(8):
            if self.radio(model).count():
                break
            self.page.locator("#refresh").click()
            self.page.wait_for_timeout(1000)
        self.radio(model).check()
        return self

    def choose(self, file: Path | dict[str, Any]) -> "Playground":
        self.page.locator("#file").set_input_files(file)  # type: ignore[arg-type]
        expect(self.page.locator("#stage")).to_have_attribute("data-state", "ready")
        return self

    def transcribe(self, timeout_seconds: float = 60) -> dict[str, Any]:
        """Clicks Transcribe and gives back what the gateway answered."""
        with self.page.expect_response(
            "**/v1/audio/transcriptions", timeout=timeout_seconds * 1000
        ) as answered:
            self.go.click()
        expect(self.go).to_have_text("Transcribe")
        body: dict[str, Any] = answered.value.json()
        return body

    def until(self, expression: str) -> None:
        """Waits for an expression to hold. (Playwright's own wait needs eval, which the page's policy forbids.)"""
        for _ in range(100):
            if self.page.evaluate(expression):
                return
            self.page.wait_for_timeout(50)
        raise AssertionError(f"never: {expression}")

    def audio(self, expression: str) -> Any:
        """An expression over `audio`, the page's audio element."""
        return self.page.evaluate(f"(audio => {expression})(document.getElementById('audio'))")
