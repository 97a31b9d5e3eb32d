"""From a file or a microphone to a transcript, through the gateway and its recogniser."""

import json
import re

import pytest
from playwright.sync_api import Page, Route, expect

from tests.browser.conftest import Open, Publish, Witness
from tests.browser.playground_page import RECOGNISER, SAMPLE, timed_answer, tone

pytestmark = pytest.mark.browser

SPOKEN = "we will meet at the station tomorrow morning"


def test_a_file_becomes_a_transcript_with_its_costs(playground: Open) -> None:
    page = playground().pick(RECOGNISER).choose(SAMPLE)
    body = page.transcribe()
    assert body["text"] == SPOKEN
    expect(page.paper).to_contain_text(SPOKEN)
    for place, text in {
        "#last-provider": "alice/local",
        "#last-attempts": "1",
        "#last-billed": "3 s",
        "#total-seconds": "3",
        "#total-requests": "1",
    }.items():
        expect(page.page.locator(place)).to_have_text(text)
    expect(page.page.locator("#last-request")).to_have_text(re.compile(r"^[0-9a-zA-Z_-]{8,}$"))
    page.transcribe()
    expect(page.page.locator("#total-seconds")).to_have_text("6")


def test_models_are_listed_with_owner_features_and_providers_online(
    playground: Open, publish: Publish
) -> None:
    stub = publish({"text": "plain"})
    page = playground().pick(stub.model)
    card = page.page.locator(".model", has_text=RECOGNISER)
    for text in ("by local", "1 provider online", "timestamps"):
        expect(card).to_contain_text(text)
    expect(page.page.locator(".model", has_text=stub.model)).to_contain_text(f"by {stub.name}")


def test_the_toggle_is_there_only_for_models_with_timestamps(playground: Open, publish: Publish) -> None:
    stub = publish({"text": "a plain text"})
    page = playground().pick(RECOGNISER)
    expect(page.page.get_by_role("switch", name="Timestamps")).to_be_visible()
    page.pick(stub.model)
    expect(page.page.get_by_role("switch", name="Timestamps")).to_be_hidden()
    page.choose(tone(1)).transcribe()
    expect(page.paper).to_have_text("a plain text")
    expect(page.words).to_have_count(0)
    expect(page.page.locator("#banner")).to_be_hidden()
    assert b"verbose_json" not in stub.bodies[0]


def test_a_downgrade_is_said(playground: Open, publish: Publish) -> None:
    stub = publish({"text": "only words"}, features=["timestamps"], refuses_verbose=True)
    page = playground().pick(stub.model).choose(tone(1))
    page.transcribe()
    expect(page.page.locator("#banner")).to_contain_text("no timestamps")
    expect(page.page.locator(".flat")).to_have_text("only words")
    for name in ("srt", "vtt"):
        expect(page.page.locator(f"#{name}")).to_be_disabled()
    for name in ("copy", "txt", "json"):
        expect(page.page.locator(f"#{name}")).to_be_enabled()


def test_language_and_prompt_are_sent(playground: Open, publish: Publish) -> None:
    stub = publish({"text": "hallo"})
    page = playground().pick(stub.model).choose(tone(1))
    page.page.get_by_label("Language").fill("de")
    page.page.get_by_label("Prompt").fill("Käsekuchen, Straße")
    page.transcribe()
    assert b'name="language"\r\n\r\nde\r\n' in stub.bodies[0]
    assert "Käsekuchen, Straße".encode() in stub.bodies[0]


def test_a_transcript_is_shown_as_text(playground: Open, publish: Publish) -> None:
    attack = '<img src=x onerror="window.attacked = true">'
    plain = publish({"text": attack})
    timed = publish(timed_answer(attack.split(" ")), features=["timestamps"], owner="bob")
    page = playground().pick(plain.model).choose(tone(1))
    page.transcribe()
    expect(page.paper).to_have_text(attack)
    other = playground(key="bob").pick(timed.model).choose(tone(3))
    other.transcribe()
    expect(other.words.nth(0)).to_have_text("<img")
    for each in (page, other):
        assert each.page.evaluate("window.attacked === undefined && !document.querySelector('#paper img')")


def small_requests(page: Page) -> None:
    """As on AWS, where one request carries less than a file may have."""
    page.route(
        "**/playground/config.json", lambda route: route.fulfill(json={"single_request_bytes": 4_400_000})
    )


def test_a_large_file_goes_by_upload_with_one_progress_bar(
    playground: Open, publish: Publish, witness: Witness
) -> None:
    stub = publish({"text": "long"})
    file = tone(300, rate=16000)
    page = playground(prepare=small_requests).pick(stub.model).choose(file)
    page.transcribe()
    expect(page.paper).to_have_text("long")
    assert file["buffer"] in stub.bodies[0]
    calls = [url.split("/v1/", 1)[1] for url in witness.urls if "/v1/" in url]
    assert sum(call.endswith("/parts") for call in calls) == 3
    assert sum(call.endswith("/complete") for call in calls) == 1
    expect(page.page.locator("#total-seconds")).to_have_text("300")
    page.page.locator("summary").click()
    expect(page.page.locator("#code")).to_contain_text("/v1/uploads")


def test_a_413_moves_the_file_to_an_upload(playground: Open, publish: Publish, witness: Witness) -> None:
    stub = publish({"text": "second way"})
    page = playground().pick(stub.model).choose(tone(2))

    def too_large_once(route: Route) -> None:
        if len([url for url in witness.urls if url.endswith("/transcriptions")]) > 1:
            route.continue_()
        else:
            message = "This route carries 4.4 MB. Send larger audio through /v1/uploads."
            error = {"message": message, "type": "file_too_large", "param": None, "code": None}
            route.fulfill(status=413, json={"error": error})

    page.page.route("**/v1/audio/transcriptions", too_large_once)
    page.go.click()
    expect(page.paper).to_have_text("second way")


def test_the_microphone_is_recorded_and_recognised(playground: Open) -> None:
    page = playground(permissions=["microphone"]).pick(RECOGNISER)
    page.page.get_by_role("button", name="Record").click()
    expect(page.page.locator("#file-name")).to_have_text("Recording")
    page.page.wait_for_timeout(3600)
    page.page.get_by_role("button", name="Stop recording").click()
    expect(page.page.locator("#file-name")).to_contain_text("recording.webm")
    expect(page.page.locator("#clock")).to_have_text(re.compile(r"^0:00 / 0:0[34]$"))
    heard = set(page.transcribe()["text"].split())
    assert len(heard & set(SPOKEN.split())) >= 3, heard
    assert page.words.count() >= 3


def test_a_recording_can_be_discarded(playground: Open) -> None:
    page = playground(permissions=["microphone"])
    page.page.get_by_role("button", name="Record").click()
    page.page.get_by_role("button", name="Discard").click()
    expect(page.page.locator("#stage")).to_have_attribute("data-state", "empty")


def test_a_refused_microphone_is_said(playground: Open) -> None:
    page = playground(permissions=[])
    page.page.get_by_role("button", name="Record").click()
    expect(page.page.locator("#wave-note")).to_contain_text("blocked the microphone")


def test_downloads_are_made_from_the_returned_timings(playground: Open, publish: Publish) -> None:
    answer = timed_answer(["one", "<two>", "three"])
    stub = publish(answer, features=["timestamps"])
    page = playground().pick(stub.model).choose(tone(2))
    page.transcribe()
    saved: dict[str, str] = {}
    for name in ("txt", "srt", "vtt", "json"):
        with page.page.expect_download() as download:
            page.page.locator(f"#{name}").click()
        assert download.value.suggested_filename == f"tone.{name}"
        saved[name] = download.value.path().read_text("utf-8")
    assert saved["txt"] == "one <two> three"
    assert saved["srt"] == "1\n00:00:00,000 --> 00:00:01,500\none <two> three\n"
    assert saved["vtt"] == "WEBVTT\n\n00:00:00.000 --> 00:00:01.500\none &lt;two&gt; three\n"
    assert json.loads(saved["json"])["words"] == answer["words"]
