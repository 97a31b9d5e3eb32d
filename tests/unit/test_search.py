import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway import search
from gateway.search import occurrences

# Few different bytes, so that they match, almost match and would overlap.
BYTES = st.binary(max_size=60).map(lambda text: bytes(b"\r\n-a\0"[each % 5] for each in text))


def plainly(body: bytes, sought: bytes) -> list[int]:
    found, at = [], body.find(sought)
    while at >= 0:
        found.append(at)
        at = body.find(sought, at + len(sought))
    return found


@given(BYTES, BYTES.filter(len))
def test_what_is_found_is_what_find_finds(body: bytes, sought: bytes) -> None:
    assert list(occurrences(body, sought)) == plainly(body, sought)
    assert list(occurrences(bytearray(body), sought)) == plainly(body, sought)


def test_it_works_without_the_c_librarys_function(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "MEMMEM", None)
    assert list(occurrences(b"ab--ab--ab", b"ab")) == [0, 4, 8]


def test_nothing_is_found_in_nothing() -> None:
    assert list(occurrences(b"", b"a")) == list(occurrences(bytearray(), b"a")) == []


def test_a_buffer_can_change_its_size_when_the_search_is_over() -> None:
    body = bytearray(b"a--a")
    assert list(occurrences(body, b"a")) == [0, 3]
    body += b"more"
