"""The access log when whoever should read it does not."""

import os
import threading

from server.access_log import MAX_WAITING, AccessLog, Line

LINE = Line(0.0, "id", "GET", "/healthz", 200, 1.0, None, 0, 0)


def test_a_log_that_nobody_reads_keeps_no_server_from_ending() -> None:
    reading, writing = os.pipe()
    with os.fdopen(reading) as reader, os.fdopen(writing, "w") as output:
        log = AccessLog(output)
        for _ in range(MAX_WAITING):
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
