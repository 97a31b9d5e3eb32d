"""What goes wrong, said in words; and where the key is, and is not."""

import re
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Route, expect

from tests.browser.conftest import Open, Publish, Witness
from tests.browser.playground_page import RECOGNISER, SAMPLE, tone

pytestmark = pytest.mark.browser

CAP_BYTES = 26_214_400


def test_a_wrong_key_is_asked_for_again(playground: Open) -> None:
    page = playground(key=None)
    field = page.page.get_by_label("API key")
    for wrong in ("sk-nobody-0000000000000000", "not a key", "schlüssel"):
        field.fill(wrong)
        page.page.get_by_role("button", name="Connect").click()
        expect(page.page.locator("#key-note")).to_contain_text("not accepted")
        expect(field).to_be_focused()
        expect(field).to_have_value("")
    assert page.page.evaluate("sessionStorage.getItem('stt-key')") == '""'


def test_a_key_that_stops_working_is_asked_for_again(playground: Open) -> None:
    page = playground().pick(RECOGNISER).choose(SAMPLE)
    error = {
        "message": "The API key is revoked",
        "type": "authentication_error",
        "param": None,
        "code": "invalid_api_key",
    }
    page.page.route("**/v1/audio/**", lambda route: route.fulfill(status=401, json={"error": error}))
    page.go.click()
    expect(page.problem).to_contain_text("This key was not accepted")
    expect(page.page.get_by_label("API key")).to_be_focused()
    expect(page.page.locator(".model")).to_have_count(0)


def test_the_key_is_in_the_session_and_nowhere_else(playground: Open, gateway: Any, witness: Witness) -> None:
    page = playground().pick(RECOGNISER).choose(SAMPLE)
    page.transcribe()
    key = gateway.keys["alice"]
    stored = "Object.entries(sessionStorage).filter(([, value]) => value.includes(key)).map(([name]) => name)"
    assert page.page.evaluate(f"key => {stored}", key) == ["stt-key"]
    assert page.page.evaluate("localStorage.length + document.cookie.length") == 0
    assert not [url for url in witness.urls if key in url]
    assert not [line for line in witness.console if key in line]
    assert key not in page.page.evaluate("document.documentElement.outerHTML")
    page.page.reload()
    expect(page.page.locator("#key-note")).to_contain_text("Connected")
    page.page.get_by_role("button", name="Forget").click()
    assert key not in page.page.evaluate("JSON.stringify({ ...sessionStorage })")


def test_a_model_nobody_serves_lists_what_is_online(playground: Open, publish: Publish) -> None:
    stub = publish({"text": "never"})
    page = playground().pick(stub.model).choose(tone(1))
    stub.withdraw()
    page.page.wait_for_timeout(5000)  # how long the gateway may remember it
    page.go.click()
    expect(page.problem).to_contain_text("No provider serves this model now")
    expect(page.problem).to_contain_text(RECOGNISER)
    expect(page.radio(stub.model)).to_have_count(0)
    page.page.get_by_role("button", name="Pick a model").click()
    expect(page.radio(RECOGNISER)).to_be_focused()


def test_a_file_over_the_cap_is_not_sent(playground: Open, witness: Witness, tmp_path: Path) -> None:
    file = tmp_path / "big.mp3"
    with file.open("wb") as out:
        out.truncate(CAP_BYTES + 1)
    page = playground().pick(RECOGNISER).choose(file)
    page.go.click()
    expect(page.problem).to_contain_text("25 MB (26,214,400 bytes)")
    assert not [url for url in witness.urls if url.endswith("/transcriptions") or url.endswith("/uploads")]


def test_a_file_that_is_no_audio_is_said(playground: Open) -> None:
    page = playground().pick(RECOGNISER)
    page.choose({"name": "paper.pdf", "mimeType": "application/pdf", "buffer": b"%PDF-1.4 nothing to hear"})
    page.go.click()
    expect(page.problem).to_contain_text("This type of file is not accepted")
    expect(page.problem).to_contain_text("M4A")
    expect(page.page.locator("#last-request")).to_have_text(re.compile(r"\w{8}"))


@pytest.mark.parametrize(
    ("status", "error", "headers", "words"),
    [
        (
            429,
            {"type": "rate_limit_error", "code": "rate_limit_exceeded"},
            {"retry-after": "12"},
            "in 12 seconds",
        ),
        (
            429,
            {"type": "rate_limit_error", "code": "quota_exceeded"},
            {"retry-after": "90"},
            "The quota is used up",
        ),
        (502, {"type": "upstream_error"}, {}, "Every provider failed"),
        (502, {"type": "upstream_error"}, {"retry-after": "3"}, "in 3 seconds"),
        (504, {"type": "api_error"}, {}, "It took too long"),
        (500, {"type": "api_error"}, {}, "The gateway failed"),
        (400, {"type": "invalid_request_error", "param": "language"}, {}, "The language was not understood"),
    ],
)
def test_an_error_says_what_to_do_next(
    playground: Open, status: int, error: dict[str, str], headers: dict[str, str], words: str
) -> None:
    page = playground().pick(RECOGNISER).choose(SAMPLE)
    body = {"error": {"message": "What the gateway said", "param": None, "code": None, **error}}

    def answer(route: Route) -> None:
        route.fulfill(status=status, json=body, headers={"x-request-id": "req-1", **headers})

    page.page.route("**/v1/audio/transcriptions", answer)
    page.go.click()
    expect(page.problem).to_contain_text(words)
    expect(page.problem).to_contain_text("What the gateway said")
    expect(page.page.locator("#last-request")).to_have_text("req-1")


def test_an_answer_that_is_not_the_gateways_own_is_survived(playground: Open) -> None:
    page = playground().pick(RECOGNISER).choose(SAMPLE)
    page.page.route("**/v1/audio/**", lambda route: route.fulfill(status=403, body='{"message":"Forbidden"}'))
    page.go.click()
    expect(page.problem).to_contain_text("Forbidden")
    page.page.route("**/v1/audio/**", lambda route: route.fulfill(status=200, body="<html>"))
    page.go.click()
    expect(page.problem).to_contain_text("refused")


def test_a_lost_connection_is_said_and_can_be_tried_again(playground: Open) -> None:
    page = playground().pick(RECOGNISER).choose(SAMPLE)
    page.page.route("**/v1/audio/**", lambda route: route.abort())
    page.go.click()
    expect(page.problem).to_contain_text("No answer from the gateway")
    page.page.unroute("**/v1/audio/**")
    page.page.get_by_role("button", name="Try again").click()
    expect(page.words).to_have_count(8, timeout=30_000)


def test_waiting_for_the_model_can_be_cancelled(playground: Open, publish: Publish) -> None:
    stub = publish({"text": "too late"}, delay_seconds=4)
    page = playground().pick(stub.model).choose(tone(1))
    page.go.click()
    expect(page.status).to_have_text(re.compile(r"Transcribing \d\.\d s"))
    page.page.get_by_role("button", name="Cancel").click()
    expect(page.problem).to_contain_text("Cancelled")
    expect(page.go).to_have_text("Transcribe")
    expect(page.page.locator("#file-name")).to_contain_text("tone.wav")


def test_an_upload_shows_its_percentage_and_can_be_cancelled(playground: Open) -> None:
    page = playground().pick(RECOGNISER).choose(tone(300, rate=16000))
    network = page.page.context.new_cdp_session(page.page)
    slow = {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": 1_000_000}
    network.send("Network.emulateNetworkConditions", slow)
    page.go.click()
    expect(page.status).to_have_text(re.compile(r"Uploading [1-9]\d? %"))
    shown = int(page.page.locator("#progress").get_attribute("aria-valuenow") or 0)
    assert 0 < shown < 100
    page.page.keyboard.press("Escape")
    expect(page.problem).to_contain_text("Cancelled")


def test_transcribe_says_what_is_missing(playground: Open, gateway: Any) -> None:
    page = playground(key=None)
    expect(page.status).to_have_text("Connect a key to begin.")
    page.go.click()
    expect(page.page.get_by_label("API key")).to_be_focused()
    page.connect(gateway.keys["alice"])
    expect(page.status).to_have_text("Add some audio.")
    page.go.click()
    expect(page.page.get_by_role("button", name="Choose a file")).to_be_focused()
