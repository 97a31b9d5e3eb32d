"""curl against the gateway, as the README prints it and as people type it."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests import missing
from tests.e2e.conftest import Published
from tests.e2e.wire import MODEL, WAV
from tests.running import SAMPLE, SENTENCE, Gateway
from tests.stub_provider import TEXT

CURL = "curl"
pytestmark = [pytest.mark.e2e, missing.needs(missing.CURL)]


def curl(
    gateway: Gateway,
    *arguments: str,
    key: str | None = None,
    path: str = "/v1/audio/transcriptions",
    stdin: bytes = b"",
) -> tuple[int, Any]:
    """Status and JSON of one call with alice's key, or the one given."""
    command = [shutil.which(CURL) or CURL, "-sS", "-w", "\n%{http_code}", f"{gateway.url}{path}"]
    command += ["-H", f"Authorization: Bearer {key or gateway.keys['alice']}", *arguments]
    done = subprocess.run(command, input=stdin, capture_output=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    body, _, status = done.stdout.decode().rpartition("\n")
    return int(status), json.loads(body)


@pytest.mark.conformance(CURL, "the README's command, with real recognition")
def test_the_line_of_the_readme_reads_what_was_said(gateway: Gateway) -> None:
    status, body = curl(gateway, "-F", f"model={MODEL}", "-F", f"file=@{SAMPLE}")
    assert (status, body["text"]) == (200, SENTENCE)


@pytest.mark.parametrize(
    "order",
    [
        pytest.param(("file", "model"), marks=pytest.mark.conformance(CURL, "-F file first")),
        pytest.param(("model", "file"), marks=pytest.mark.conformance(CURL, "-F file last")),
    ],
)
def test_the_fields_may_come_in_any_order(
    gateway: Gateway, published: Published, order: tuple[str, str]
) -> None:
    given = {"file": f"file=@{SAMPLE}", "model": f"model={published.model}"}
    status, body = curl(gateway, *(word for name in order for word in ("-F", given[name])))
    assert (status, body["text"]) == (200, TEXT)
    assert published.stub.asked[0].file.content == WAV


@pytest.mark.conformance(CURL, "-F with type and filename given")
def test_a_label_may_be_given(gateway: Gateway, published: Published) -> None:
    file = f"file=@{SAMPLE};type=audio/x-wav;filename=my talk.wav"
    assert curl(gateway, "-F", f"model={published.model}", "-F", file)[0] == 200


@pytest.mark.conformance(CURL, "-F file=@- from a pipe, chunked")
def test_audio_may_come_from_a_pipe(gateway: Gateway, published: Published) -> None:
    arguments = ("-H", "Transfer-Encoding: chunked", "-F", f"model={published.model}", "-F", "file=@-")
    assert curl(gateway, *arguments, stdin=WAV)[0] == 200
    assert published.stub.asked[0].file.content == WAV


@pytest.mark.conformance(CURL, "3 MB, sent after 100-continue")
def test_a_large_file_is_sent_after_the_server_says_continue(
    gateway: Gateway, published: Published, tmp_path: Path
) -> None:
    large = tmp_path / "large.mp3"
    large.write_bytes(b"\xff\xfb\x90\x00" * 750_000)
    file = f"file=@{large};type=audio/mpeg"
    assert curl(gateway, "-H", "Expect: 100-continue", "-F", f"model={published.model}", "-F", file)[0] == 200
    assert len(published.stub.asked[0].file.content) == 3_000_000


@pytest.mark.conformance(CURL, "verbose_json with both granularities")
def test_timings_are_asked_by_repeating_the_field(gateway: Gateway) -> None:
    granularities = [
        word for each in ("word", "segment") for word in ("-F", f"timestamp_granularities[]={each}")
    ]
    arguments = ("-F", f"model={MODEL}", "-F", f"file=@{SAMPLE}", "-F", "response_format=verbose_json")
    status, body = curl(gateway, *arguments, *granularities)
    assert status == 200
    assert {"words", "segments"} <= set(body)


@pytest.mark.conformance(CURL, "error for a wrong key")
def test_a_wrong_key_is_told_so(gateway: Gateway) -> None:
    arguments = ("-F", f"model={MODEL}", "-F", f"file=@{SAMPLE}")
    status, body = curl(gateway, *arguments, key="sk-local-nobody-0000000000000000")
    assert (status, body["error"]["code"]) == (401, "invalid_api_key")


@pytest.mark.conformance(CURL, "error for a missing file")
def test_a_missing_file_is_told_so(gateway: Gateway) -> None:
    status, body = curl(gateway, "-F", f"model={MODEL}")
    assert (status, body["error"]["type"]) == (400, "missing_file")


@pytest.mark.conformance(CURL, "error for a forgotten @")
def test_a_path_sent_instead_of_the_file_is_told_so(gateway: Gateway) -> None:
    status, body = curl(gateway, "-F", f"model={MODEL}", "-F", "file=talk.mp3")
    assert (status, body["error"]["type"]) == (415, "unsupported_media_type")


@pytest.mark.conformance(CURL, "models, the slash raw or encoded")
def test_models_are_listed_and_retrieved(gateway: Gateway) -> None:
    assert MODEL in [model["id"] for model in curl(gateway, path="/v1/models")[1]["data"]]
    for path in (MODEL, MODEL.replace("/", "%2F")):
        assert curl(gateway, path=f"/v1/models/{path}")[1]["id"] == MODEL
