"""Reading a request body up to a limit."""

import asyncio
from collections.abc import Iterable, Iterator
from typing import Any

import pytest
from starlette.requests import Request

from server.body import FILL, FIRST_STEP_BYTES, BodyStalled, BodyTooLarge, ClientGone, Intake, read_body


def request(pieces: Iterable[Any], pause: float = 0, **headers: str) -> Request:
    """A request whose body arrives in pieces, `pause` seconds apart; None is a client that stops sending, an exception
    one that leaves."""
    messages = iter(pieces)

    async def receive() -> dict[str, Any]:
        piece = next(messages, b"")
        await asyncio.sleep(pause)
        if piece is None:
            await asyncio.sleep(3600)
        if piece is ClientGone:
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": piece, "more_body": bool(piece)}

    raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return Request({"type": "http", "method": "POST", "headers": raw}, receive)


def read(subject: Request, limit: int, idle_seconds: float = 30) -> bytes:
    return bytes(asyncio.run(read_body(subject.scope, subject.receive, limit, idle_seconds)))


def test_a_body_arrives_in_pieces_and_is_whole() -> None:
    assert read(request([b"ab", b"cd"]), 4) == b"abcd"


def test_a_missing_body_is_empty() -> None:
    assert read(request([]), 4) == b""


def test_a_declared_length_over_the_limit_is_refused_unread() -> None:
    with pytest.raises(BodyTooLarge):
        read(request([None], content_length="5"), 4)


def test_a_body_without_a_length_is_refused_when_its_count_passes_the_limit() -> None:
    with pytest.raises(BodyTooLarge):
        read(request([b"abc", b"de", None]), 4)


def test_a_client_that_stops_sending_is_dropped() -> None:
    with pytest.raises(BodyStalled):
        read(request([b"ab", None]), 4, idle_seconds=0.01)


def test_a_client_that_sends_a_byte_now_and_then_is_dropped() -> None:
    arrived: list[bytes] = []

    def drip() -> Iterator[bytes]:
        while len(arrived) < 1000:
            arrived.append(b"x")
            yield b"x"

    with pytest.raises(BodyStalled):
        read(request(drip(), pause=0.05), 10_000, idle_seconds=0.4)
    assert len(arrived) < 100


def test_a_fast_enough_body_may_take_longer_than_the_idle_limit() -> None:
    pieces = [bytes(32 * 1024)] * 12
    assert len(read(request(pieces, pause=0.05), 1_000_000, idle_seconds=0.3)) == 12 * 32 * 1024


def test_a_client_that_disconnects_is_noticed() -> None:
    with pytest.raises(ClientGone):
        read(request([b"ab", ClientGone]), 4)


@pytest.mark.parametrize("declared", ["-1", "five", "0x10", ""])
def test_a_length_that_is_not_a_number_is_not_trusted(declared: str) -> None:
    assert read(request([b"abcd"], content_length=declared), 4) == b"abcd"


def test_a_declared_length_reserves_only_what_may_arrive_next() -> None:
    intake = Intake(limit=100_000_000, expected=25_000_000)
    assert len(intake.room(10)) == 10
    assert len(intake.whole()) == FIRST_STEP_BYTES


@pytest.mark.parametrize("size", [1, FIRST_STEP_BYTES, FIRST_STEP_BYTES + 1, 5_000_000])
def test_a_body_of_known_length_is_put_together_in_its_place(size: int) -> None:
    content = bytes(range(256)) * (size // 256 + 1)
    intake, sent = Intake(limit=size, expected=size), 0
    intake.take(content[: size // 3])
    sent = size // 3
    while sent < size:
        room = intake.room(200_000)
        room[:] = content[sent : sent + len(room)]
        intake.took(len(room))
        sent += len(room)
    assert intake.whole() == content[:size]
    assert not intake.is_over


def test_bytes_that_arrive_without_a_message_keep_a_slow_body_alive() -> None:
    """The listener writes into the intake, and wakes the reader only at the end."""

    async def read_slowly() -> int:
        begun: list[Intake] = []
        done = asyncio.Event()

        async def receive() -> dict[str, Any]:
            await done.wait()
            return {"type": "http.request", "body": b"", "more_body": False}

        async def arrive() -> None:
            for _ in range(12):
                await asyncio.sleep(0.05)
                begun[0].take(bytes(32 * 1024))
            done.set()

        def fill(intake: Intake | None) -> None:
            if intake is not None:
                begun.append(intake)

        scope = {"type": "http", "headers": [], FILL: fill}
        arriving = asyncio.ensure_future(arrive())
        body = await read_body(scope, receive, 1_000_000, idle_seconds=0.3)
        await arriving
        return len(body)

    assert asyncio.run(read_slowly()) == 12 * 32 * 1024
