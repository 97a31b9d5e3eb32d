"""Chromium, found on PATH, and a playground open in it."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from tests import missing
from tests.browser.playground_page import SAMPLE, Playground
from tests.browser.published_stub import PublishedStub

CHROMIUM = next(filter(None, map(shutil.which, missing.BROWSERS)), None)
ARGUMENTS = [
    "--no-sandbox",
    "--disable-dev-shm-usage",
    "--autoplay-policy=no-user-gesture-required",
    "--use-fake-device-for-media-stream",
    f"--use-file-for-fake-audio-capture={SAMPLE}",
]
# Chromium reports every answer of 400 and more on its console; the tests look at what the page says instead.
EXPECTED_ON_CONSOLE = "Failed to load resource"

Open = Callable[..., Playground]
Publish = Callable[..., PublishedStub]


# Not for the session: while Playwright is there an event loop runs, and other tests of this process start their own.
@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip(str(missing.CHROMIUM))
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


class Witness:
    """What a browser context asked for and complained about."""

    def __init__(self) -> None:
        self.complaints: list[str] = []
        self.console: list[str] = []
        self.urls: list[str] = []

    def watch(self, context: BrowserContext) -> None:
        context.on("request", lambda request: self.urls.append(request.url))
        context.on("weberror", lambda error: self.complaints.append(str(error.error)))
        context.on("console", lambda message: self._hear(message.type, message.text))

    def _hear(self, kind: str, text: str) -> None:
        self.console.append(text)
        if kind in ("error", "warning") and EXPECTED_ON_CONSOLE not in text:
            self.complaints.append(text)


@pytest.fixture
def witness() -> Iterator[Witness]:
    """Fails the test that used it when the page raised, or broke its own content security policy."""
    seen = Witness()
    yield seen
    assert seen.complaints == []


@pytest.fixture
def context(chromium: Browser, witness: Witness) -> Iterator[Callable[..., BrowserContext]]:
    with ExitStack() as stack:

        def new(**options: Any) -> BrowserContext:
            made = chromium.new_context(**{"viewport": {"width": 1280, "height": 900}, **options})
            stack.callback(made.close)
            made.set_default_timeout(15_000)
            witness.watch(made)
            return made

        yield new


@pytest.fixture
def playground(context: Callable[..., BrowserContext], gateway: Any) -> Open:
    """Opens the page: `playground(key="alice", prepare=None, **context options)`; key None leaves it unconnected."""

    def open_page(
        key: str | None = "alice", prepare: Callable[[Page], None] | None = None, **options: Any
    ) -> Playground:
        page = context(**options).new_page()
        if prepare:
            prepare(page)
        opened = Playground(page, f"{gateway.url}/playground").open()
        return opened.connect(gateway.keys[key]) if key else opened

    return open_page


@pytest.fixture
def publish(gateway: Any) -> Iterator[Publish]:
    """Publishes a stub provider as one of the gateway's users, through a real manifest."""
    with ExitStack() as stack:

        def start(
            answer: Any, features: list[str] | None = None, owner: str = "alice", **options: Any
        ) -> PublishedStub:
            answers = answer if callable(answer) else lambda _: answer
            stub = PublishedStub(gateway.url, gateway.keys[owner], features or [], answers, **options)
            return stack.enter_context(stub)

        yield start
