"""Reading stored parts from an S3 that stops midway."""

import os
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from gateway.store.dynamodb import aws
from gateway.store.dynamodb.uploads import UploadStore
from gateway.uploads import StoredPart, Upload
from tests.integration.conftest import CACHED
from tests.stack import CREDENTIALS

CONTENT = {"part_1": os.urandom(600_000), "part_2": os.urandom(500_000)}
UPLOAD = Upload(
    id="upload_1",
    user_id="ulla",
    bytes=1_100_000,
    filename="a",
    media_type="audio/wav",
    purpose="user_data",
    created_at=0,
    expires_at=3600,
    parts={name: StoredPart(len(content), 0) for name, content in CONTENT.items()},
)


class BreakingS3(ThreadingHTTPServer):
    """Answers GetObject; the next `breaks` answers stop midway."""

    daemon_threads = True

    def __init__(self) -> None:
        self.breaks = 0
        self.asked: list[str] = []
        self.lock = threading.Lock()
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                with server.lock:
                    server.asked.append(self.path)
                    is_broken, server.breaks = server.breaks > 0, server.breaks - 1
                content = CONTENT[self.path.rpartition("/")[2]]
                self.send_response(200)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content[:400_000] if is_broken else content)
                self.close_connection = is_broken

            def log_message(self, *_: object) -> None:
                pass

        super().__init__(("127.0.0.1", 0), Handler)


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[BreakingS3]:
    with BreakingS3() as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        for name, value in CREDENTIALS.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", f"http://127.0.0.1:{server.server_port}")
        for each in CACHED:
            each.cache_clear()
        yield server
        aws.client("s3").close()
        server.shutdown()
    for each in CACHED:
        each.cache_clear()


def test_each_part_is_read_into_its_place(s3: BreakingS3) -> None:
    store = UploadStore("table", "bucket")
    assert store.read(UPLOAD, ["part_2", "part_1"]) == CONTENT["part_2"] + CONTENT["part_1"]
    assert sorted(s3.asked) == [f"/bucket/uploads/ulla/upload_1/part_{number}" for number in (1, 2)]


def test_an_interrupted_answer_is_read_again_from_its_start(s3: BreakingS3) -> None:
    s3.breaks = 2
    store = UploadStore("table", "bucket")
    assert store.read(UPLOAD, ["part_1", "part_2"]) == CONTENT["part_1"] + CONTENT["part_2"]
    assert len(s3.asked) == 4


def test_an_answer_that_is_interrupted_every_time_is_an_error(s3: BreakingS3) -> None:
    s3.breaks = 100
    with pytest.raises(aws.StoreError):
        UploadStore("table", "bucket").read(UPLOAD, ["part_1"])
    assert len(s3.asked) == 3
