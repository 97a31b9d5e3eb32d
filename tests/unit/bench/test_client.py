"""The load generator against the stub provider."""

import dataclasses
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.peers.client import Job, run
from bench.peers.forms import listing, transcription, write_form
from bench.peers.gateways import start_stub


@pytest.fixture
def stub_port(tmp_path: Path) -> Iterator[int]:
    stub = start_stub(tmp_path)
    yield stub.port
    stub.process.end()


def job(port: int, folder: Path, *, audio_bytes: int = 3_000_000, clients: int = 1) -> Job:
    return transcription(write_form(folder / "form", "any", audio_bytes), port, {}, clients, 0)


def test_each_client_sends_its_form_whole(stub_port: int, tmp_path: Path) -> None:
    outcome = run(job(stub_port, tmp_path, clients=3))
    assert (len(outcome.milliseconds), outcome.failures, outcome.first_failure) == (3, 0, "")
    assert outcome.seconds > 0


def test_requests_follow_each_other_on_one_connection_until_the_time_is_over(
    stub_port: int, tmp_path: Path
) -> None:
    outcome = run(dataclasses.replace(job(stub_port, tmp_path, audio_bytes=1000), seconds=1))
    assert len(outcome.milliseconds) > 1
    assert outcome.failures == 0


def test_a_provider_that_received_too_little_is_a_failure(stub_port: int, tmp_path: Path) -> None:
    outcome = run(dataclasses.replace(job(stub_port, tmp_path), least_bytes=4_000_000))
    assert (outcome.milliseconds, outcome.failures) == ([], 1)
    assert outcome.first_failure.startswith("the provider received only 30")


def test_a_route_without_audio_needs_only_a_200(stub_port: int) -> None:
    assert len(run(listing(stub_port, {}, 0)).milliseconds) == 1


def test_a_refusal_before_the_form_is_sent_is_a_failure(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def refuse() -> None:
            caller, _ = listener.accept()
            caller.recv(1000)
            caller.sendall(b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno")
            again, _ = listener.accept()  # the load generator connects again
            again.close()
            caller.close()

        server = threading.Thread(target=refuse)
        server.start()
        outcome = run(job(listener.getsockname()[1], tmp_path, audio_bytes=20_000_000))
        server.join(20)
    assert (outcome.failures, outcome.first_failure) == (1, "413 no")
