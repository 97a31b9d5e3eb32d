"""The load generator's reading of responses."""

import pytest

from bench.peers.http import Response, content_length, parse_response, request_head


def test_a_response_is_complete_when_its_length_has_come() -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\ncontent-length: 5\r\n\r\n"
    assert parse_response(head + b"hell") is None
    assert parse_response(head + b"hello") == Response(200, b"hello")


def test_a_response_is_incomplete_before_the_end_of_its_head() -> None:
    assert parse_response(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n") is None


def test_a_response_in_chunks_is_joined() -> None:
    head = b"HTTP/1.1 502 Bad Gateway\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert parse_response(head + b"4\r\nfour\r\nB;x=1\r\n\r\n chunks\r\n") is None
    assert parse_response(head + b"4\r\nfour\r\nB;x=1\r\n\r\n chunks\r\n\r\n0\r\n\r\n") == Response(
        502, b"four\r\n chunks\r\n"
    )


@pytest.mark.parametrize("end", range(1, 12))
def test_a_response_in_chunks_is_incomplete_wherever_it_is_cut(end: int) -> None:
    whole = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n"
    assert parse_response(whole[:-end]) is None


@pytest.mark.parametrize("received", [b"SSH-2.0-x y\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\nhello"])
def test_what_cannot_be_read_is_refused(received: bytes) -> None:
    with pytest.raises(ValueError, match=r"HTTP response|without a length"):
        parse_response(received)


def test_a_request_head_ends_with_an_empty_line_and_tells_its_length() -> None:
    head = request_head("POST", "/v1", {"Host": "a", "Content-Length": "12"})
    assert head == b"POST /v1 HTTP/1.1\r\nHost: a\r\nContent-Length: 12\r\n\r\n"
    assert content_length(head) == 12
    assert content_length(b"GET / HTTP/1.1\r\nHost: a\r\n") is None
