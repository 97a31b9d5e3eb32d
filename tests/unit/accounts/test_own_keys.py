from typing import Any

import pytest

from gateway.accounts.own_keys import KeyRequest
from gateway.errors import InvalidRequest

NOW = 1_790_000_000.5


def test_a_request_is_a_name_and_maybe_a_time() -> None:
    assert KeyRequest.read({"name": "CI, Zürich 東京"}, NOW) == KeyRequest("CI, Zürich 東京", None)
    assert KeyRequest.read({"name": "x" * 64, "expires_at": None}, NOW) == KeyRequest("x" * 64, None)
    assert KeyRequest.read({"name": "x", "expires_at": 1_790_000_001}, NOW).expires_at == 1_790_000_001


@pytest.mark.parametrize(
    "name",
    [None, "", "   ", 7, ["x"], "x" * 65, "x" * 1_000_000, "a\nb", "a\x00", "\x1b[2J", "\ud800", "a\u202eb"],
)
def test_a_name_is_short_printable_text(name: Any) -> None:
    for body in ({"name": name}, {"name": name, "expires_at": None}):
        with pytest.raises(InvalidRequest, match="'name' must be text of 1 to 64 printable") as caught:
            KeyRequest.read(body, NOW)
        assert caught.value.param == "name"


def test_a_key_needs_a_name() -> None:
    with pytest.raises(InvalidRequest) as caught:
        KeyRequest.read({}, NOW)
    assert caught.value.param == "name"


@pytest.mark.parametrize(
    "expires_at", [1_790_000_000, 0, -1, 10**30, 253_402_300_800, True, 1.8e9, float("inf"), "1800000000", []]
)
def test_an_expiry_is_a_whole_second_in_the_future(expires_at: Any) -> None:
    with pytest.raises(InvalidRequest, match="'expires_at' must be a time in the future") as caught:
        KeyRequest.read({"name": "x", "expires_at": expires_at}, NOW)
    assert caught.value.param == "expires_at"


@pytest.mark.parametrize("body", [None, [], "x", 7, {"name": "x", "user_id": "bob"}, {"name": "x", "": 1}])
def test_nothing_else_is_accepted_or_repeated(body: Any) -> None:
    with pytest.raises(InvalidRequest) as caught:
        KeyRequest.read(body, NOW)
    assert caught.value.param is None
    assert "bob" not in caught.value.message
