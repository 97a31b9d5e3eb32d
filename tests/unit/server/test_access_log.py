"""The access log's lines and its writer."""

import io
import json
import os
import threading

from server import access_log
from server.access_log import AccessLog, Line

LINE = Line(1_795_348_800.25, "an-id", "GET", "/v1/models/{id+}", 200, 12.34, "alice", 5, 70)


def test_a_line_is_one_object_of_json() -> None:
    assert json.loads(LINE.text()) == {
        "time": "2026-11-22T12:00:00.250Z",
        "request_id": "an-id",
        "method": "GET",
        "route": "/v1/models/{id+}",
        "status": 200,
        "ms": 12.3,
        "user": "alice",
        "bytes_in": 5,
        "bytes_out": 70,
    }
    assert "\n" not in LINE.text()


def test_every_line_is_written_before_the_log_closes() -> None:
    output = io.StringIO()
    log = AccessLog(output)
    for _ in range(500):
        log.add(LINE)
    log.close()
    assert len(output.getvalue().splitlines()) == 500


class Stuck(io.StringIO):
    """A reader that takes nothing."""

    def write(self, text: str, /) -> int:
        raise BrokenPipeError


def test_an_output_that_fails_ends_nothing() -> None:
    log = AccessLog(Stuck())
    log.add(LINE)
    log.close()


def test_lines_beyond_what_can_wait_are_counted() -> None:
    output = io.StringIO()
    log = AccessLog(output)
    for _ in range(access_log.MAX_WAITING * 3):
        log.add(LINE)
    log.close()
    written = [json.loads(line) for line in output.getvalue().splitlines()]
    lost = sum(line["count"] for line in written if "count" in line)
    assert lost + sum("request_id" in line for line in written) == access_log.MAX_WAITING * 3


def test_a_log_that_nobody_reads_keeps_no_server_from_ending() -> None:
    reading, writing = os.pipe()
    with os.fdopen(reading) as reader, os.fdopen(writing, "w") as output:
        log = AccessLog(output)
        for _ in range(access_log.MAX_WAITING):
            log.add(LINE)
        closing = threading.Thread(target=log.close)
        closing.start()
        closing.join(20)
        is_closed = not closing.is_alive()
        draining = threading.Thread(target=reader.read)
        draining.start()
        log.close()
        output.close()
        draining.join()
    assert is_closed
