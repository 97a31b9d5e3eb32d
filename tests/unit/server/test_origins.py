"""Which pages may call a server of the local run."""

import pytest

from server.origins import FOREIGN_HOST, FOREIGN_ORIGIN, Origins

LISTED = Origins.read(
    {
        "CORS_ORIGINS": "https://App.example:443/, http://lan.example:8080",
        "PUBLIC_URL": "https://stt.example/prod",
    }
)


@pytest.mark.parametrize(
    "origin",
    [
        "http://localhost",
        "https://localhost:8443",
        "http://127.0.0.1:3000",
        "http://[::1]:5173",
        "HTTP://LOCALHOST:3000",
    ],
)
def test_pages_of_this_machine_may_call(origin: str) -> None:
    assert Origins().problem([origin], ["127.0.0.1:3000"]) is None


@pytest.mark.parametrize("origin", ["https://app.example", "http://lan.example:8080", "https://stt.example"])
def test_pages_named_in_the_settings_may_call(origin: str) -> None:
    assert LISTED.problem([origin], ["127.0.0.1:3000"]) is None
    assert Origins().problem([origin], ["127.0.0.1:3000"]) == FOREIGN_ORIGIN


@pytest.mark.parametrize(
    "origin",
    [
        "null",
        "",
        "*",
        "https://evil.example",
        "http://app.example",
        "https://app.example:8443",
        "http://lan.example",
        "https://app.example.evil.example",
        "http://localhost.evil.example",
        "http://127.0.0.1.evil.example",
        "http://evil.example#http://localhost",
        "http://localhost@evil.example",
        "http://evil.example/http://localhost",
        "http://localhost:3000, http://evil.example",
        "http://127.0.0.1:80:80",
        "http://[::1].evil.example",
        "http://0.0.0.0:3000",
        "http://192.168.1.7",
        "http://localhost\n",
        "file://localhost",
        "chrome-extension://localhost",
        "localhost",
    ],
)
def test_any_other_page_may_not(origin: str) -> None:
    assert LISTED.problem([origin], ["127.0.0.1:3000"]) == FOREIGN_ORIGIN


def test_one_foreign_origin_among_several_is_enough() -> None:
    assert Origins().problem(["http://localhost", "https://evil.example"], []) == FOREIGN_ORIGIN


@pytest.mark.parametrize("host", ["127.0.0.1:3000", "localhost", "LOCALHOST:3000", "[::1]:3000"])
def test_this_machines_own_names_are_accepted(host: str) -> None:
    assert Origins().problem([], [host]) is None


@pytest.mark.parametrize("host", ["stt.example", "stt.example:8443", "app.example", "lan.example:3000"])
def test_a_host_named_in_a_setting_is_accepted(host: str) -> None:
    assert LISTED.problem([], [host]) is None
    assert Origins().problem([], [host]) == FOREIGN_HOST


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:3000",
        "127.0.0.1.evil.example",
        "localhost.evil.example",
        "localhost:3000@evil.example",
        "192.168.1.7:3000",
        "169.254.169.254",
        "",
        "localhost:",
        "localhost:port",
    ],
)
def test_any_other_host_is_foreign(host: str) -> None:
    assert LISTED.problem([], [host]) == FOREIGN_HOST


def test_a_caller_that_is_not_a_page_is_served() -> None:
    assert Origins().problem([], ["127.0.0.1:3000"]) is None


@pytest.mark.parametrize(
    "entry",
    ["*", "null", "app.example", "https://app.example/page", "https://*.example", "https://a b", "ftp://a"],
)
def test_an_invalid_origin_is_reported(entry: str) -> None:
    with pytest.raises(ValueError, match="CORS_ORIGINS takes origins such as"):
        Origins.read({"CORS_ORIGINS": f"https://good.example,{entry}"})


def test_a_public_url_without_a_scheme_is_reported() -> None:
    with pytest.raises(ValueError, match="PUBLIC_URL takes"):
        Origins.read({"PUBLIC_URL": "stt.example.com"})
