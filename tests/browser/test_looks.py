"""How the page looks and reads: contrast and labels by axe-core, narrow and wide, light and dark, without jumps."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests import missing
from tests.browser.conftest import Open, Publish
from tests.browser.playground_page import RECOGNISER, SAMPLE, Playground, timed_answer, tone
from tests.browser.published_stub import below_a_path

pytestmark = pytest.mark.browser

AXE = Path(__file__).parents[2] / "node_modules" / "axe-core" / "axe.min.js"
needs_axe = missing.needs(missing.node_package("axe-core"))
LONG_WORD = "Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaft"


def findings(page: Page) -> list[str]:
    """What axe-core finds, serious or worse. Evaluated from outside, as the page's policy lets no other script in."""
    page.evaluate(AXE.read_text("utf-8"))
    found = page.evaluate("axe.run(document, { resultTypes: ['violations'] })")
    return [
        f"{rule['id']}: {node['html']} {node['failureSummary']}"
        for rule in found["violations"]
        if rule["impact"] in ("serious", "critical")
        for node in rule["nodes"]
    ]


@needs_axe
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
def test_axe_finds_nothing_serious_in_any_state(
    playground: Open, gateway: Any, scheme: str, width: int
) -> None:
    page = playground(
        key=None, color_scheme=scheme, viewport={"width": width, "height": 800}, permissions=["microphone"]
    )
    found = {"empty": findings(page.page)}
    page.page.get_by_label("API key").fill("wrong")
    page.page.keyboard.press("Enter")
    expect(page.page.locator("#key-note")).to_contain_text("not accepted")
    found["wrong key"] = findings(page.page)
    page.connect(gateway.keys["alice"]).pick(RECOGNISER)
    page.page.get_by_role("button", name="Record").click()
    expect(page.page.locator("#file-name")).to_have_text("Recording")
    found["recording"] = findings(page.page)
    page.page.get_by_role("button", name="Discard").click()
    page.choose(SAMPLE)
    found["chosen"] = findings(page.page)
    page.go.click()
    expect(page.status).to_contain_text("Transcribing")
    found["working"] = findings(page.page)
    expect(page.words).to_have_count(8, timeout=30_000)
    page.page.locator("summary").click()
    page.words.nth(2).click()
    page.audio("audio.pause()")
    found["result"] = findings(page.page)
    page.page.route("**/v1/audio/**", lambda route: route.abort())
    page.go.click()
    expect(page.problem).to_be_visible()
    found["problem"] = findings(page.page)
    assert {state: each for state, each in found.items() if each} == {}


@pytest.mark.parametrize("width", [360, 768, 1920])
def test_nothing_is_wider_than_the_window(playground: Open, publish: Publish, width: int) -> None:
    stub = publish(
        timed_answer([LONG_WORD] * 3),
        features=["timestamps"],
        model=f"organisation/{LONG_WORD.lower()}-{width}",
    )
    page = playground(viewport={"width": width, "height": 740}).pick(stub.model)
    name = {"name": f"{LONG_WORD}.wav"}
    page.choose({**tone(3), **name}).transcribe()
    page.page.locator("summary").click()
    assert page.page.evaluate("document.documentElement.scrollWidth") <= width


def test_a_phone_can_do_it_all(playground: Open) -> None:
    phone = {"width": 360, "height": 740}
    page = playground(viewport=phone, has_touch=True, is_mobile=True).pick(RECOGNISER).choose(SAMPLE)
    page.transcribe()
    page.words.nth(3).tap()
    page.until("!document.getElementById('audio').paused")
    assert page.audio("audio.currentTime") >= 0.5


def test_dark_and_light_follow_the_system(playground: Open) -> None:
    page = playground(key=None, color_scheme="dark")
    desk = "getComputedStyle(document.documentElement).backgroundColor"
    dark = page.page.evaluate(desk)
    page.page.emulate_media(color_scheme="light")
    assert page.page.evaluate(desk) != dark


def test_reduced_motion_is_respected(playground: Open, publish: Publish) -> None:
    stub = publish({"text": "still"}, delay_seconds=2)
    page = playground(reduced_motion="reduce").pick(stub.model).choose(tone(1))
    page.go.click()
    expect(page.status).to_contain_text("Transcribing")
    assert page.page.evaluate("document.getAnimations().length") == 0


def test_the_layout_does_not_jump(playground: Open, gateway: Any) -> None:
    page = playground(key=None)
    page.page.evaluate(
        """() => {
            window.shifts = [];
            new PerformanceObserver((list) => window.shifts.push(...list.getEntries().map(({ value }) => value)))
                .observe({ type: 'layout-shift', buffered: true });
        }"""
    )
    page.connect(gateway.keys["alice"]).pick(RECOGNISER).choose(SAMPLE).transcribe()
    page.page.wait_for_timeout(300)
    assert sum(page.page.evaluate("window.shifts")) < 0.02


def test_what_follows_stays_in_place_from_choosing_to_result(playground: Open) -> None:
    page = playground().pick(RECOGNISER)
    places = """() => ['.stage', '.action', '.transcript', 'details', '.meter'].map((name) => {
        const { top, height } = document.querySelector(name).getBoundingClientRect();
        return [name, Math.round(top + scrollY), Math.round(height)];
    })"""
    before = page.page.evaluate(places)
    page.choose(SAMPLE)
    assert page.page.evaluate(places) == before
    page.go.click()
    expect(page.status).to_contain_text("Transcribing")
    assert page.page.evaluate(places) == before
    expect(page.words).to_have_count(8, timeout=30_000)
    assert page.page.evaluate(places) == before


@pytest.fixture
def staged(gateway: Any) -> Iterator[str]:
    """The gateway below /prod, as API Gateway puts it without a custom domain; nothing else answers."""
    with below_a_path(gateway.url, "/prod") as url:
        yield url


@pytest.mark.parametrize("slash", ["", "/"])
def test_it_works_below_a_stage_path(context: Any, gateway: Any, staged: str, slash: str) -> None:
    page = Playground(context().new_page(), f"{staged}/playground{slash}").open()
    page.connect(gateway.keys["alice"]).pick(RECOGNISER).choose(SAMPLE).transcribe()
    expect(page.words).to_have_count(8)
    page.page.locator("summary").click()
    expect(page.page.locator("#code")).to_contain_text(f"{staged}/v1/audio/transcriptions")


def test_everything_comes_from_one_origin(playground: Open, gateway: Any, witness: Any) -> None:
    playground()
    assert witness.urls
    assert all(url.startswith(gateway.url) for url in witness.urls)
