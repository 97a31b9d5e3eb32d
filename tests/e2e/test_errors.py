"""Every error of the contract that a caller can bring about: order, statuses, messages, headers."""

import pytest

from tests.e2e.conftest import Publish
from tests.e2e.wire import (
    MODEL,
    TRANSCRIPTIONS,
    WAV,
    assert_error,
    assert_headers,
    fields,
    file_part,
    form,
    part,
    post_form,
    send,
    send_json,
    transcribe,
)
from tests.running import Gateway
from tests.stub_provider import Say

pytestmark = pytest.mark.e2e
MAX_BYTES = 26_214_400
INVALID = "invalid_request_error"
BROKEN = form(file_part())[:-6]
PDF = part("file", b"%PDF-1.7 garbage", filename="garbage.pdf", content_type="application/pdf")
NEED_A_KEY = [
    ("POST", TRANSCRIPTIONS),
    ("POST", "/v1/audio/translations"),
    ("GET", "/v1/models"),
    ("GET", "/v1/models/some/model"),
    ("POST", "/api/inference/agent/register/"),
    ("PUT", "/api/inference/agent/manifest/"),
    ("POST", "/api/inference/agent/heartbeat/"),
    ("GET", "/v1/providers"),
    ("PATCH", "/v1/providers/x"),
    ("DELETE", "/v1/providers/x"),
    ("PATCH", "/v1/providers/x/services/y"),
]
BAD_KEYS = [
    None,
    "Bearer",
    "Bearer ",
    "Bearer sk-local-nobody-0000000000000000",
    "Bearer sk-local-alice-000000000000000",
    "Bearer sk-local-alice-0000000000000000x",
    "Basic c2stbG9jYWwtYWxpY2U6",
    "sk-local-alice-0000000000000000",
    pytest.param("Bearer " + "x" * 4000, id="long"),
    "Bearer sk-\xff\xfe-000000000000000000",
]


@pytest.mark.parametrize(("method", "path"), NEED_A_KEY)
def test_a_route_without_a_key_is_401(gateway: Gateway, method: str, path: str) -> None:
    assert_error(send(gateway, method, path, key=None), 401, "authentication_error", code="invalid_api_key")


@pytest.mark.parametrize("value", BAD_KEYS)
def test_a_key_that_is_none_is_401(gateway: Gateway, value: str | None) -> None:
    headers = {} if value is None else {"authorization": value}
    reply = post_form(gateway, BROKEN, key=None, headers=headers)
    assert_error(reply, 401, "authentication_error", param=None, code="invalid_api_key")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/nothing"),
        ("GET", TRANSCRIPTIONS),
        ("PUT", TRANSCRIPTIONS),
        ("DELETE", "/v1/models"),
        ("POST", "/v1/models/some/model"),
        ("GET", "/v1/providers/x"),
        ("POST", "/healthz"),
        ("DELETE", "/openapi.json"),
        ("GET", "/v1/chat/completions"),
        ("POST", "/v1/../v1/audio/transcriptions"),
        ("GET", "//v1/models"),
        ("GET", "/v1/a%0Ab"),
        ("POST", "/v1/a%00b"),
    ],
)
@pytest.mark.parametrize("key", ["alice", None])
def test_any_other_path_or_method_is_404(gateway: Gateway, method: str, path: str, key: str | None) -> None:
    assert_error(send(gateway, method, path, key=key), 404, "not_found", param=None)


def test_translations_are_a_route_that_answers_404(gateway: Gateway) -> None:
    message = assert_error(send(gateway, "POST", "/v1/audio/translations"), 404, "not_found")
    assert "ranslation" in message


@pytest.mark.parametrize("path", ["/v1/models/", "/v1/providers/", f"/v1/models/{MODEL}/", "/healthz/"])
def test_a_trailing_slash_is_the_same_route(gateway: Gateway, path: str) -> None:
    assert send(gateway, "GET", path).body == send(gateway, "GET", path.rstrip("/")).body


def test_a_transcription_under_a_trailing_slash_is_the_same_route(gateway: Gateway) -> None:
    reply = send(gateway, "POST", TRANSCRIPTIONS + "/")
    assert_error(reply, 400, "missing_file")


@pytest.mark.parametrize("path", [TRANSCRIPTIONS, "/v1/models", "/v1/providers/x", "/healthz"])
def test_a_preflight_needs_no_key_and_allows_what_the_sdks_send(gateway: Gateway, path: str) -> None:
    headers = {"origin": "http://localhost:5173", "access-control-request-method": "POST"}
    reply = send(gateway, "OPTIONS", path, key=None, headers=headers)
    assert reply.status in (200, 204)
    assert reply.headers["access-control-allow-origin"] == "http://localhost:5173"
    allowed = {name.strip().lower() for name in reply.headers["access-control-allow-headers"].split(",")}
    assert allowed >= {"authorization", "content-type", "x-stainless-lang", "x-stainless-retry-count"}


@pytest.mark.parametrize(
    ("method", "path"), [("OPTIONS", TRANSCRIPTIONS), ("POST", TRANSCRIPTIONS), ("GET", "/v1/nothing")]
)
@pytest.mark.parametrize("foreign", [{"origin": "https://page.example"}, {"host": "page.example"}])
def test_a_page_from_elsewhere_is_403(
    gateway: Gateway, method: str, path: str, foreign: dict[str, str]
) -> None:
    reply = send(gateway, method, path, headers=foreign)
    assert (reply.status, reply.json()["error"]["type"]) == (403, "permission_error")
    assert set(reply.json()["error"]) == {"message", "type", "param", "code"}
    assert reply.headers["x-request-id"]
    assert not [name for name in reply.headers if name.startswith("access-control-")]


@pytest.mark.parametrize(
    "asset",
    ["%00.js", "x" * 5000 + ".js", "%ff.js", "..%5cindex.html", "..%2findex.html", "%ED%A0%80.js", "a%0A.js"],
)
def test_a_file_that_the_playground_does_not_have_is_404(gateway: Gateway, asset: str) -> None:
    assert_error(send(gateway, "GET", f"/playground/{asset}", key=None), 404, "not_found")


# --- the order of checks: each request is wrong in two ways, and the earlier one is told


def test_a_broken_form_comes_before_a_missing_file(gateway: Gateway) -> None:
    assert_error(post_form(gateway, form(fields(("model", MODEL)))[:-6]), 400, INVALID)


def test_a_missing_file_comes_before_a_bad_field(gateway: Gateway) -> None:
    whole = form(fields(("model", MODEL), ("temperature", "hot")))
    assert_error(post_form(gateway, whole), 400, "missing_file", param="file")


def test_a_file_that_is_too_large_comes_before_its_type(gateway: Gateway) -> None:
    whole = form(file_part(b"%PDF" + bytes(MAX_BYTES - 3), content_type="application/pdf"))
    message = assert_error(post_form(gateway, whole), 413, "file_too_large")
    assert "25" in message or str(MAX_BYTES) in message


def test_a_wrong_type_comes_before_a_bad_field_and_a_missing_model(gateway: Gateway) -> None:
    message = assert_error(
        post_form(gateway, form(PDF, fields(("temperature", "hot")))), 415, "unsupported_media_type"
    )
    assert all(each in message for each in ("wav", "mp3", "flac", "ogg", "webm"))


def test_a_bad_field_comes_before_an_unknown_model(gateway: Gateway) -> None:
    reply = transcribe(gateway, ("temperature", "hot"), model="nobody/has-this")
    assert_error(reply, 400, INVALID, param="temperature")


def test_an_unknown_model_is_told_which_ones_there_are(gateway: Gateway) -> None:
    message = assert_error(transcribe(gateway, model="nobody/has-this"), 404, "no_provider")
    named = message.split(":")[-1].count("/")
    assert 1 <= named <= 5


def test_a_model_that_only_its_owner_may_use_is_unknown_to_others(gateway: Gateway, publish: Publish) -> None:
    published = publish(access="private")
    message = assert_error(transcribe(gateway, model=published.model, key="bob"), 404, "no_provider")
    assert published.provider not in message
    assert transcribe(gateway, model=published.model).status == 200


def test_an_empty_file_is_a_missing_file(gateway: Gateway) -> None:
    reply = transcribe(gateway, file=file_part(b""))
    assert_error(reply, 400, "missing_file", param="file")


def test_a_file_in_a_text_field_of_another_name_is_a_missing_file(gateway: Gateway) -> None:
    whole = form(part("audio", WAV, filename="a.wav", content_type="audio/wav"), fields(("model", MODEL)))
    assert_error(post_form(gateway, whole), 400, "missing_file")


# --- uploads by id


@pytest.mark.parametrize(
    "file_id", ["file-unknown", "../../etc/passwd", pytest.param("x" * 5000, id="long"), "upload#1"]
)
def test_an_unknown_upload_is_404_before_any_field_is_looked_at(gateway: Gateway, file_id: str) -> None:
    whole = form(file_part(b""), fields(("file_id", file_id), ("temperature", "hot")))
    assert_error(post_form(gateway, whole), 404, "not_found", param="file_id")


# --- fields


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("language", value) for value in ("english", "x" * 40, "e", "12", "en us", "", "en;q=1")),
        *(("response_format", value) for value in ("text", "srt", "vtt", "JSON ", "diarized_json")),
        *(
            ("temperature", value)
            for value in ("-0.1", "1.01", "nan", "inf", "1e400", "hot", "", "0x1", "1_0")
        ),
        *(("stream", value) for value in ("true", "True", "1", "yes")),
    ],
)
def test_a_bad_field_is_refused_under_its_name(gateway: Gateway, name: str, value: str) -> None:
    assert_error(transcribe(gateway, (name, value)), 400, INVALID, param=name)


@pytest.mark.parametrize("value", [None, "", "  \t"])
def test_a_missing_model_is_refused(gateway: Gateway, value: str | None) -> None:
    pairs = [] if value is None else [("model", value)]
    assert_error(transcribe(gateway, *pairs, model=None), 400, INVALID, param="model")


def test_a_wrong_response_format_is_told_the_two_there_are(gateway: Gateway) -> None:
    message = assert_error(transcribe(gateway, ("response_format", "srt")), 400, INVALID)
    assert "'json'" in message
    assert "'verbose_json'" in message


def test_streaming_is_refused_with_the_reason(gateway: Gateway) -> None:
    message = assert_error(transcribe(gateway, ("stream", "true")), 400, INVALID, param="stream")
    assert "one JSON body" in message


@pytest.mark.parametrize("name", ["timestamp_granularities[]", "timestamp_granularities"])
@pytest.mark.parametrize(
    "pairs",
    [
        [("", "word")],
        [("", "word"), ("response_format", "json")],
        [("", "letter"), ("response_format", "verbose_json")],
        [("", "word"), ("", "letter"), ("response_format", "verbose_json")],
        [("", ""), ("response_format", "verbose_json")],
        [("", "word,segment"), ("response_format", "verbose_json")],
    ],
)
def test_bad_granularities_are_refused(gateway: Gateway, name: str, pairs: list[tuple[str, str]]) -> None:
    reply = transcribe(gateway, *((field or name, value) for field, value in pairs))
    assert_error(reply, 400, INVALID)
    assert reply.json()["error"]["param"].startswith("timestamp_granularities")


# --- upstream


@pytest.mark.parametrize("status", [400, 401, 403, 404, 408, 413, 415, 422, 429, 500, 502, 503, 302])
def test_a_provider_that_fails_is_502(gateway: Gateway, publish: Publish, status: int) -> None:
    published = publish()
    said = {
        "error": {"message": "key sk-secret-of-provider-123456 at http://10.0.0.7:9000/v1 /srv/models/x.bin"}
    }
    published.stub.answers.extend([Say(status, said)] * 5)
    reply = transcribe(gateway, model=published.model)
    assert_error(reply, 502, "upstream_error")
    for internal in ("sk-secret", "10.0.0.7", "/srv/models", str(published.stub.port)):
        assert internal not in reply.body.decode()
    if status in (429, 503):
        assert int(reply.headers["retry-after"]) >= 1
        assert reply.headers.get("x-should-retry") != "false"
    else:
        assert reply.headers["x-should-retry"] == "false"


@pytest.mark.parametrize(
    "body", [b"", b"not json", b"[]", b'"text"', b"{}", b'{"text": 5}', b'{"text": null}']
)
def test_a_provider_that_says_no_transcript_is_502(gateway: Gateway, publish: Publish, body: bytes) -> None:
    published = publish()
    published.stub.answers.append(Say(200, body))
    assert_error(transcribe(gateway, model=published.model), 502, "upstream_error")


def test_a_provider_that_is_gone_is_502_without_its_address(gateway: Gateway, publish: Publish) -> None:
    published = publish()
    port = published.stub.port
    published.stub.stop()
    reply = transcribe(gateway, model=published.model)
    assert_error(reply, 502, "upstream_error")
    assert str(port) not in reply.body.decode()
    assert reply.headers["x-should-retry"] == "false"


# --- JSON routes


@pytest.mark.parametrize(
    "body", [b"", b"{", b"\xff", b"[1", b"{'name': 1}", b"NaN1", pytest.param(b"[" * 100_000, id="deep")]
)
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/api/inference/agent/register/"),
        ("PUT", "/api/inference/agent/manifest/"),
        ("POST", "/api/inference/agent/heartbeat/"),
        ("PATCH", "/v1/providers/local"),
    ],
)
def test_a_body_that_is_not_json_is_400(gateway: Gateway, method: str, path: str, body: bytes) -> None:
    reply = send(gateway, method, path, headers={"content-type": "application/json"}, body=body)
    if path.endswith("manifest/"):
        assert (reply.status, reply.json()["error"]["type"]) == (400, INVALID)
    else:
        assert_error(reply, 400, INVALID)


@pytest.mark.parametrize("body", [None, 1, "text", [], [{}], True])
@pytest.mark.parametrize("route", ["register", "heartbeat"])
def test_a_body_that_is_no_object_is_400(gateway: Gateway, route: str, body: object) -> None:
    assert_error(send_json(gateway, "POST", f"/api/inference/agent/{route}/", body), 400, INVALID)


def test_an_invalid_manifest_is_told_all_its_problems_at_once(gateway: Gateway) -> None:
    service = {"name": "asr", "engine": "vlm", "url": "asr.example.com", "type": "sst"}
    parsed = {"schema_version": 2, "agent": {"name": "a b"}, "hosts": [{"services": [service]}]}
    reply = send_json(gateway, "PUT", "/api/inference/agent/manifest/", {"raw_yaml": "", "parsed": parsed})
    assert reply.status == 400
    assert_headers(reply)
    body = reply.json()
    assert set(body) == {"error", "errors"}
    assert body["error"]["type"] == INVALID
    paths = {problem.split(":")[0] for problem in body["errors"]}
    under = "hosts[0].services[0]"
    assert paths == {
        "schema_version",
        "agent.name",
        "hosts[0].id",
        f"{under}.engine",
        f"{under}.url",
        f"{under}.type",
    }


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/api/inference/agent/heartbeat/", {"name": "nobody"}),
        ("PATCH", "/v1/providers/nobody", {"public_url": None}),
        ("PATCH", "/v1/providers/nobody/services/asr", {"access": None}),
        ("PATCH", "/v1/providers/local/services/nothing", {"access": None}),
        ("DELETE", "/v1/providers/nobody", None),
        ("DELETE", "/v1/providers/%23head", None),
    ],
)
def test_an_unknown_provider_or_service_is_404(
    gateway: Gateway, method: str, path: str, body: object
) -> None:
    assert_error(send_json(gateway, method, path, body), 404, "not_found")


def test_a_provider_of_another_user_is_unknown(gateway: Gateway) -> None:
    reply = send_json(gateway, "PATCH", "/v1/providers/local", {"public_url": None}, key="bob")
    assert_error(reply, 404, "not_found")


@pytest.mark.parametrize(
    "model", ["nobody/has-this", "a%0Ab", "%E2%80%A8", "%00", "..", "%2e%2e", "a%2F..%2Fb", "%ff"]
)
def test_an_unknown_model_is_404(gateway: Gateway, model: str) -> None:
    assert_error(send(gateway, "GET", f"/v1/models/{model}"), 404, "not_found")


def test_a_model_id_of_any_length_is_404(gateway: Gateway) -> None:
    assert_error(send(gateway, "GET", f"/v1/models/{'x' * 5000}"), 404, "not_found")


def test_a_model_that_is_sent_encoded_twice_is_another_model(gateway: Gateway) -> None:
    assert send(gateway, "GET", "/v1/models/pocketsphinx%2Fen-us").status == 200
    assert_error(send(gateway, "GET", "/v1/models/pocketsphinx%252Fen-us"), 404, "not_found")
