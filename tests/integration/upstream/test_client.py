"""The provider client against a real server that misbehaves, over real TLS."""

import contextlib
import datetime
import socket
import time
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from gateway.providers import addresses
from gateway.upstream.client import USER_AGENT, Answer, ProviderClient, ProviderError, tls_context
from tests import missing
from tests.misbehaving_server import MisbehavingServer

AUDIO = bytes(range(256)) * 400
LARGE = bytes(26_214_400)
JSON = b'{"text": "one two three"}'


@pytest.fixture(scope="module")
def ca() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def ca_bundle(ca: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("ca") / "ca.pem"
    ca.cert_pem.write_to_path(str(path))
    return str(path)


@pytest.fixture(scope="module")
def server(ca: trustme.CA) -> Iterator[MisbehavingServer]:
    with MisbehavingServer(ca) as running:
        yield running


@pytest.fixture
def make_client(ca_bundle: str) -> Iterator[Callable[..., ProviderClient]]:
    with contextlib.ExitStack() as stack:

        def make(**settings: Any) -> ProviderClient:
            client = ProviderClient(**{"allow_private": True, "ca_bundle": ca_bundle, **settings})
            stack.callback(client.close)
            return client

        yield make


@pytest.fixture
def client(make_client: Callable[..., ProviderClient]) -> ProviderClient:
    return make_client()


def transcribe(
    client: ProviderClient,
    url: str,
    *,
    seconds: float = 5.0,
    audio: bytes | memoryview = AUDIO,
    **changes: Any,
) -> Answer:
    request: dict[str, Any] = {
        "fields": [("model", "whisper-1"), ("response_format", "json")],
        "filename": "audio.wav",
        "content_type": "audio/wav",
        "api_key": None,
    }
    return client.transcribe(url, audio=audio, deadline=time.monotonic() + seconds, **{**request, **changes})


@contextlib.contextmanager
def fails(kind: str, *, within: float, not_before: float = 0.0) -> Iterator[None]:
    started = time.monotonic()
    with pytest.raises(ProviderError) as caught:
        yield
    assert caught.value.kind == kind, caught.value
    assert not_before <= time.monotonic() - started < within


class Resolver:
    """Answers each lookup with the next list of addresses; the last one repeats."""

    def __init__(self, *answers: list[str]) -> None:
        self.answers = list(answers)
        self.lookups: list[str] = []

    def __call__(self, host: str, port: int, **_: Any) -> list[tuple[Any, ...]]:
        self.lookups.append(host)
        found = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        family = {True: socket.AF_INET6, False: socket.AF_INET}
        return [(family[":" in ip], socket.SOCK_STREAM, 6, "", (ip, port)) for ip in found]


# --- what is sent


def test_the_form_arrives_with_its_fields_first_and_the_audio_untouched(
    client: ProviderClient, server: MisbehavingServer
) -> None:
    fields = [
        ("model", "Whisper"),
        ("timestamp_granularities[]", "word"),
        ("timestamp_granularities[]", "segment"),
    ]
    answer = transcribe(
        client, server.url("ok"), fields=fields, filename="audio.mp3", content_type="audio/mpeg"
    )
    assert answer == Answer(200, JSON, None)
    received = server.received("ok")[-1]
    assert received.line == "POST /ok/v1/audio/transcriptions HTTP/1.1"
    assert received.fields == fields
    assert received.file == AUDIO
    assert (received.filename, received.file_content_type) == ("audio.mp3", "audio/mpeg")


def test_only_the_gateways_own_headers_are_sent(client: ProviderClient, server: MisbehavingServer) -> None:
    transcribe(client, server.url("ok"))
    names = [name for name, _ in server.received("ok")[-1].headers]
    assert names == ["Host", "User-Agent", "Accept", "Accept-Encoding", "Content-Type", "Content-Length"]
    assert server.received("ok")[-1].header("accept-encoding") == "identity"


def test_the_api_key_is_sent_as_a_bearer_token(client: ProviderClient, server: MisbehavingServer) -> None:
    transcribe(client, server.url("ok"), api_key="sk-operator")
    assert server.received("ok")[-1].header("authorization") == "Bearer sk-operator"


def test_an_api_key_that_would_end_its_header_is_never_sent(
    client: ProviderClient, server: MisbehavingServer
) -> None:
    before = len(server.requests)
    with fails("protocol", within=0.5):
        transcribe(client, server.url("ok"), api_key="sk\r\nX-Injected: 1")
    assert len(server.requests) == before


def test_names_cannot_end_their_header_and_values_arrive_as_they_are(
    client: ProviderClient, server: MisbehavingServer
) -> None:
    fields = [('a"b\r\nX: y', 'line\r\n--boundary"é'), ("prompt", "")]
    transcribe(client, server.url("ok"), fields=fields, filename='x"\r\n.wav')
    received = server.received("ok")[-1]
    assert received.fields == [("a%22b%0D%0AX: y", 'line\r\n--boundary"é'), ("prompt", "")]
    assert received.filename == "x%22%0D%0A.wav"
    assert received.file == AUDIO


def test_a_content_type_that_would_end_its_header_is_a_defect_of_the_caller(client: ProviderClient) -> None:
    with pytest.raises(ValueError, match="content_type"):
        transcribe(client, "https://127.0.0.1:1", content_type="audio/wav\r\nX: y")


def test_a_memoryview_of_25_mb_arrives_whole(client: ProviderClient, server: MisbehavingServer) -> None:
    body = bytearray(LARGE)
    body[::4096] = b"\xff" * len(body[::4096])
    transcribe(client, server.url("ok"), audio=memoryview(body), seconds=20)
    assert server.received("ok")[-1].file == bytes(body)


def test_the_environment_sends_nothing_through_a_proxy(
    client: ProviderClient, server: MisbehavingServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    assert transcribe(client, server.url("ok")).status == 200


def test_the_user_agent_names_this_version() -> None:
    project = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text())["project"]
    assert f"{project['name']}/{project['version']}" == USER_AGENT


def test_plain_http_works_where_private_providers_are_allowed(ca: trustme.CA, client: ProviderClient) -> None:
    with MisbehavingServer(ca, tls=False) as plain:
        assert transcribe(client, plain.url("ok")).body == JSON


# --- answers


@pytest.mark.parametrize("status", [400, 401, 403, 404, 408, 413, 415, 422, 429, 500, 503])
def test_every_status_is_an_answer(client: ProviderClient, server: MisbehavingServer, status: int) -> None:
    answer = transcribe(client, server.url(str(status)))
    assert answer.status == status
    assert b"for you" in answer.body
    assert answer.retry_after == {429: 7.0, 503: 3.0}.get(status)


def test_a_redirect_is_an_answer_and_is_not_followed(
    client: ProviderClient, server: MisbehavingServer
) -> None:
    before = len(server.requests)
    assert transcribe(client, server.url("302")).status == 302
    assert len(server.requests) == before + 1


def test_a_retry_after_date_is_given_in_seconds(client: ProviderClient, server: MisbehavingServer) -> None:
    retry_after = transcribe(client, server.url("retry-date")).retry_after
    assert retry_after is not None
    assert retry_after > 1_000_000


@pytest.mark.parametrize(
    ("fault", "body"),
    [
        ("invalid-json", b'{"text": "one'),
        ("html", b"<!doctype html><title>Sign in</title>"),
        ("json-list", b'[{"text": "one"}]'),
        ("missing-text", b'{"transcript": "one"}'),
        ("empty-body", b""),
        ("gzip", JSON),
        ("deflate", JSON),
        ("bare-deflate", JSON),
        ("chunked", JSON),
        ("http-1.0", JSON),
        ("interim", JSON),
        ("extra-bytes", JSON),
    ],
)
def test_a_body_is_passed_on_unchanged(
    client: ProviderClient, server: MisbehavingServer, fault: str, body: bytes
) -> None:
    for _ in range(2):
        assert transcribe(client, server.url(fault)) == Answer(200, body, None)


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ("endless-body", "oversized"),
        ("endless-chunks", "oversized"),
        ("endless-trailers", "protocol"),
        ("endless-interim", "protocol"),
        ("endless-headers", "protocol"),
        ("endless-header-line", "protocol"),
        ("large-content-length", "oversized"),
        ("gzip-bomb", "oversized"),
        ("gzip-damaged", "encoding"),
        ("brotli", "encoding"),
        ("not-http", "protocol"),
        ("malformed-chunks", "protocol"),
        ("truncated", "reset"),
        ("truncated-chunks", "reset"),
        ("reset-mid-response", "reset"),
        ("close-without-answer", "reset"),
    ],
)
def test_a_broken_answer_gets_the_right_failure(
    client: ProviderClient, server: MisbehavingServer, fault: str, kind: str
) -> None:
    with fails(kind, within=3):
        transcribe(client, server.url(fault))


def test_an_answer_may_be_exactly_as_large_as_allowed(
    make_client: Callable[..., ProviderClient], server: MisbehavingServer
) -> None:
    for fault in ("ok", "chunked", "http-1.0"):
        assert transcribe(make_client(answer_bytes=len(JSON)), server.url(fault)).body == JSON
        with fails("oversized", within=1):
            transcribe(make_client(answer_bytes=len(JSON) - 1), server.url(fault))


def test_interim_answers_while_the_audio_is_sent_are_skipped(
    client: ProviderClient, server: MisbehavingServer
) -> None:
    assert transcribe(client, server.url("interim"), audio=LARGE).body == JSON
    assert server.received("interim")[-1].file == LARGE


@pytest.mark.parametrize("audio", [AUDIO, LARGE], ids=["small", "large"])
@pytest.mark.parametrize(
    ("fault", "status"), [("early-413-then-close", 413), ("early-401-then-wait", 401)], ids=["closed", "open"]
)
def test_an_answer_that_comes_while_the_audio_is_sent_is_read(
    client: ProviderClient, server: MisbehavingServer, fault: str, status: int, audio: bytes
) -> None:
    started = time.monotonic()
    assert transcribe(client, server.url(fault), audio=audio).status == status
    assert time.monotonic() - started < 2


def test_a_connection_with_an_early_answer_is_not_reused(
    client: ProviderClient, server: MisbehavingServer
) -> None:
    for _ in range(2):
        transcribe(client, server.url("early-401-then-wait"), audio=LARGE)
    first, second = server.received("early-401-then-wait")[-2:]
    assert first.connection != second.connection


# --- time


@pytest.mark.parametrize("fault", ["never-answer", "drip-headers", "drip-body", "slow"])
def test_a_peer_that_takes_too_long_is_dropped_at_the_deadline(
    client: ProviderClient, server: MisbehavingServer, fault: str
) -> None:
    with fails("timeout", not_before=0.6, within=1.2):
        transcribe(client, server.url(fault), seconds=0.6)


@pytest.mark.parametrize("fault", ["never-read", "slow-reader"])
def test_a_peer_that_does_not_read_is_dropped_at_the_deadline(
    client: ProviderClient, server: MisbehavingServer, fault: str
) -> None:
    with fails("timeout", not_before=0.6, within=1.2):
        transcribe(client, server.url(fault), seconds=0.6, audio=LARGE)


def test_a_dripping_answer_is_dropped_despite_its_progress(
    client: ProviderClient, server: MisbehavingServer
) -> None:
    with fails("timeout", not_before=2.5, within=3.2):
        transcribe(client, server.url("drip-body"), seconds=2.5)


@pytest.mark.parametrize("fault", ["no-handshake", "drip-handshake"])
def test_a_handshake_gets_only_the_time_for_connecting(
    make_client: Callable[..., ProviderClient], server: MisbehavingServer, fault: str
) -> None:
    with fails("timeout", not_before=0.5, within=1.1):
        transcribe(make_client(connect_seconds=0.5), server.url(fault))


def test_connecting_ends_at_the_deadline_if_that_is_sooner(
    client: ProviderClient, server: MisbehavingServer
) -> None:
    with fails("timeout", not_before=0.3, within=0.9):
        transcribe(client, server.url("no-handshake"), seconds=0.3)


def test_nothing_is_dialled_after_the_deadline(client: ProviderClient, server: MisbehavingServer) -> None:
    before = len(server.requests)
    with fails("timeout", within=0.4):
        transcribe(client, server.url("ok"), seconds=-1)
    assert len(server.requests) == before


def test_a_hanging_resolver_is_dropped_after_the_time_for_connecting(
    make_client: Callable[..., ProviderClient],
) -> None:
    def hang(*_: Any, **__: Any) -> list[tuple[Any, ...]]:
        time.sleep(1)
        return []

    with fails("timeout", not_before=0.3, within=0.9):
        transcribe(make_client(resolve=hang, connect_seconds=0.3), "https://provider.test")


# --- connecting


def test_a_refused_connection_fails_at_once(client: ProviderClient, server: MisbehavingServer) -> None:
    with fails("connect", within=0.4):
        transcribe(client, server.url("refuse"))


@pytest.mark.parametrize("audio", [AUDIO, LARGE], ids=["small", "large"])
def test_a_connection_that_is_reset_during_the_request_is_reported(
    client: ProviderClient, server: MisbehavingServer, audio: bytes
) -> None:
    with fails("reset", within=1):
        transcribe(client, server.url("reset-mid-request"), audio=audio)
    assert len(server.received("reset-mid-request")) > 0


@pytest.mark.parametrize(
    "fault",
    ["wrong-certificate", "expired-certificate", "hostname-mismatch", "hang-up-in-handshake", "plain-http"],
)
def test_nothing_is_sent_over_tls_that_cannot_be_verified(
    client: ProviderClient, server: MisbehavingServer, fault: str
) -> None:
    with fails("tls", within=1):
        transcribe(client, server.url(fault), api_key="secret")
    assert server.received(fault) == []


def test_a_private_root_is_trusted_only_when_it_is_given(
    make_client: Callable[..., ProviderClient], server: MisbehavingServer
) -> None:
    with fails("tls", within=1):
        transcribe(make_client(ca_bundle=None), server.url("ok"))


def test_a_root_made_by_openssl_is_trusted_on_every_python(
    make_client: Callable[..., ProviderClient], tmp_path: Path
) -> None:
    """`openssl req -x509` omits the key usage, which strict verification requires."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "home root")])
    now = datetime.datetime.now(datetime.UTC)
    root = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    home = trustme.CA.from_pem(root.public_bytes(Encoding.PEM), private)
    bundle = tmp_path / "home.pem"
    home.cert_pem.write_to_path(str(bundle))
    with MisbehavingServer(home) as server:
        assert transcribe(make_client(ca_bundle=str(bundle)), server.url("ok")).status == 200


def test_there_are_roots_even_if_the_system_has_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "none.pem"))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path / "none"))
    assert tls_context(None).cert_store_stats()["x509_ca"] > 100


def test_a_missing_bundle_is_noticed_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(OSError):
        ProviderClient(ca_bundle=str(tmp_path / "missing.pem"))


def test_a_name_is_resolved_once_and_keeps_its_sni_and_host(
    make_client: Callable[..., ProviderClient], server: MisbehavingServer
) -> None:
    resolver = Resolver(["127.0.0.1"])
    transcribe(make_client(resolve=resolver), server.url("ok", host="provider.test"))
    received = server.received("ok")[-1]
    assert resolver.lookups == ["provider.test"]
    assert received.server_name == "provider.test"
    assert received.header("host") == f"provider.test:{server.port()}"


def test_the_certificate_must_be_for_the_name_and_not_for_the_address(
    make_client: Callable[..., ProviderClient], server: MisbehavingServer
) -> None:
    with fails("tls", within=1):
        transcribe(make_client(resolve=Resolver(["127.0.0.1"])), server.url("ok", host="unknown.test"))


def test_the_next_address_is_tried_when_one_refuses(
    make_client: Callable[..., ProviderClient], server: MisbehavingServer
) -> None:
    resolver = Resolver(["127.0.0.2", "::1", "127.0.0.1"])
    assert transcribe(make_client(resolve=resolver), server.url("ok", host="provider.test")).status == 200


@contextlib.contextmanager
def silent(port: int) -> Iterator[str]:
    """A local address that answers no SYN on the port, because its queue is full."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.2", port))
        listener.listen(0)
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        yield "127.0.0.2"


def test_the_next_address_is_tried_when_one_is_silent(
    make_client: Callable[..., ProviderClient], server: MisbehavingServer
) -> None:
    with silent(server.port()) as address:
        client = make_client(resolve=Resolver([address, "127.0.0.1"]), connect_seconds=2.0)
        started = time.monotonic()
        assert transcribe(client, server.url("ok", host="provider.test")).status == 200
        assert 1.0 <= time.monotonic() - started < 1.5


def test_a_silent_address_gets_only_the_time_for_connecting(
    make_client: Callable[..., ProviderClient], server: MisbehavingServer
) -> None:
    with silent(server.port()) as address, fails("timeout", not_before=0.3, within=0.9):
        client = make_client(resolve=Resolver([address]), connect_seconds=0.3)
        transcribe(client, server.url("ok", host="provider.test"))


@pytest.mark.parametrize(
    "failure", [socket.gaierror(-2, "unknown"), UnicodeError("label too long")], ids=["unknown", "malformed"]
)
def test_a_name_without_an_address_is_a_dns_failure(
    make_client: Callable[..., ProviderClient], failure: Exception
) -> None:
    def resolve(*_: Any, **__: Any) -> list[tuple[Any, ...]]:
        raise failure

    with fails("dns", within=0.5):
        transcribe(make_client(resolve=resolve), "https://provider.test")
    with fails("dns", within=0.5):
        transcribe(make_client(resolve=Resolver([])), "https://provider.test")


# --- addresses


@pytest.mark.parametrize(
    "found",
    [
        ["10.0.0.1"],
        ["8.8.8.8", "192.168.1.5"],
        ["169.254.169.254"],
        ["2606:4700::1111", "fd00::1"],
        ["::ffff:127.0.0.1"],
        ["fe80::1%eth0"],
        ["127.0.0.1"],
    ],
    ids=lambda found: " and ".join(found),
)
def test_a_name_with_any_address_that_is_not_public_is_refused(
    make_client: Callable[..., ProviderClient], server: MisbehavingServer, found: list[str]
) -> None:
    before = len(server.requests)
    with fails("address_refused", within=0.5):
        transcribe(
            make_client(allow_private=False, resolve=Resolver(found)), server.url("ok", "provider.test")
        )
    assert len(server.requests) == before


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "0177.0.0.1",
        "2130706433",
        "0x7f.1",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "localhost",
        "u:p@8.8.8.8",
    ],
)
def test_a_literal_that_is_not_public_is_refused_without_a_lookup(
    make_client: Callable[..., ProviderClient], server: MisbehavingServer, host: str
) -> None:
    resolver = Resolver(["127.0.0.1"])
    with fails("address_refused", within=0.5):
        transcribe(make_client(allow_private=False, resolve=resolver), server.url("ok", host))
    assert resolver.lookups == []


def test_a_name_that_turns_private_is_refused_although_a_connection_is_warm(
    make_client: Callable[..., ProviderClient], server: MisbehavingServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    # No public address answers here: a local address stands in for one.
    monkeypatch.setattr(addresses, "is_public", lambda address: address == "127.0.0.1")
    resolver = Resolver(["127.0.0.1"], ["10.0.0.1"])
    client = make_client(allow_private=False, resolve=resolver)
    url = server.url("ok", "provider.test")
    assert transcribe(client, url).status == 200
    assert len(resolver.lookups) == 1
    with fails("address_refused", within=0.5):
        transcribe(client, url)


# --- connections that stay open


def connections(server: MisbehavingServer, fault: str, last: int) -> int:
    return len({request.connection for request in server.received(fault)[-last:]})


@pytest.mark.parametrize("fault", ["ok", "chunked", "404", "gzip"])
def test_a_connection_is_reused(client: ProviderClient, server: MisbehavingServer, fault: str) -> None:
    for _ in range(3):
        transcribe(client, server.url(fault))
    assert connections(server, fault, 3) == 1


@pytest.mark.parametrize("fault", ["http-1.0", "extra-bytes"])
def test_a_connection_that_may_not_be_clean_is_not_reused(
    client: ProviderClient, server: MisbehavingServer, fault: str
) -> None:
    for _ in range(2):
        transcribe(client, server.url(fault))
    assert connections(server, fault, 2) == 2


def test_a_connection_is_not_used_for_another_name_at_the_same_address(
    make_client: Callable[..., ProviderClient], server: MisbehavingServer
) -> None:
    client = make_client(resolve=Resolver(["127.0.0.1"]))
    transcribe(client, server.url("ok", "provider.test"))
    with fails("tls", within=1):
        transcribe(client, server.url("ok", "unknown.test"))


def test_a_connection_that_the_peer_closed_while_idle_is_replaced(
    client: ProviderClient, server: MisbehavingServer
) -> None:
    for _ in range(3):
        assert transcribe(client, server.url("closes-idle")).status == 200
        time.sleep(0.05)
    assert connections(server, "closes-idle", 3) == 3


def test_data_from_a_peer_on_an_idle_connection_is_not_an_answer(
    client: ProviderClient, server: MisbehavingServer
) -> None:
    for _ in range(3):
        assert transcribe(client, server.url("speaks-when-idle")).status == 200
        time.sleep(0.1)


def test_a_warm_connection_is_dropped_when_the_name_moves_to_another_address(
    make_client: Callable[..., ProviderClient], server: MisbehavingServer
) -> None:
    client = make_client(resolve=Resolver(["127.0.0.1"], ["127.0.0.3"]))
    url = server.url("ok", "provider.test")
    transcribe(client, url)
    with fails("connect", within=0.5):
        transcribe(client, url)


@pytest.mark.parametrize("fault", ["dies-on-reuse", "408-on-reuse"])
def test_a_connection_that_breaks_when_it_is_reused_is_replaced_once(
    client: ProviderClient, server: MisbehavingServer, fault: str
) -> None:
    for audio in (AUDIO, AUDIO, LARGE):
        assert transcribe(client, server.url(fault), audio=audio).status == 200


def test_a_new_connection_that_breaks_is_not_retried(
    client: ProviderClient, server: MisbehavingServer
) -> None:
    before = len(server.received("close-without-answer"))
    with fails("reset", within=1):
        transcribe(client, server.url("close-without-answer"))
    assert len(server.received("close-without-answer")) == before + 1


def test_a_reused_connection_that_breaks_during_the_answer_is_not_retried(
    client: ProviderClient, server: MisbehavingServer
) -> None:
    transcribe(client, server.url("ok"))
    before = len(server.received("truncated"))
    with fails("reset", within=1):
        transcribe(client, server.url("truncated"))
    assert len(server.received("truncated")) == before + 1


def test_an_idle_connection_is_dropped_after_a_minute(
    client: ProviderClient, server: MisbehavingServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    transcribe(client, server.url("ok"))
    wall = time.time
    monkeypatch.setattr(time, "time", lambda: wall() + 61)
    transcribe(client, server.url("ok"))
    assert connections(server, "ok", 2) == 2


def test_a_closed_client_can_be_used_again(client: ProviderClient, server: MisbehavingServer) -> None:
    transcribe(client, server.url("ok"))
    client.close()
    transcribe(client, server.url("ok"))
    assert connections(server, "ok", 2) == 2


@missing.needs(missing.PROC)
def test_no_failure_leaves_a_socket_behind(
    make_client: Callable[..., ProviderClient], server: MisbehavingServer
) -> None:
    client = make_client(connect_seconds=0.2)
    descriptors = Path("/proc/self/fd")
    before = len(list(descriptors.iterdir()))
    for fault in ("refuse", "no-handshake", "wrong-certificate", "not-http", "truncated", "never-answer"):
        with pytest.raises(ProviderError):
            transcribe(client, server.url(fault), seconds=0.3)
    time.sleep(0.1)
    # The server's ends of open connections are also descriptors of this process.
    held = 2
    assert len(list(descriptors.iterdir())) <= before + held
