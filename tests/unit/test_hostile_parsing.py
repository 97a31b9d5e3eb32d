"""Hostile input for every parser that strangers can reach, at the largest possible size.

Each takes milliseconds; a quadratic parser would take seconds to hours. The limit of two seconds allows for busy
machines and for PyYAML, which is slow.
"""

import contextlib
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from admin.yaml_lines import Document, NotYaml, read_yaml
from gateway import http, manifest, multipart, site, uploads
from gateway.accounts import authorization
from gateway.errors import GatewayError
from gateway.manifest import InvalidManifestError
from gateway.multipart import Part
from gateway.transcription import request as transcription_request
from gateway.transcription.media import MAX_AUDIO_BYTES
from gateway.transcription.request import AudioFile
from gateway.upstream import transcript
from gateway.upstream.connection import Connection, Deadline, ProviderError
from gateway.upstream.response import read_answer
from gateway.upstream.transcript import UnusableAnswerError
from gateway.usage import totals

HEAD = 64 * 1024  # a request's head on plain HTTP, a provider's head
JSON = 10 * 1024 * 1024  # a request body that is not a form
FIELD = MAX_AUDIO_BYTES  # a text field of a form
ANSWER = 5 * 1024 * 1024  # a provider's answer
YAML = 64 * 1024
REFUSED = (GatewayError, UnusableAnswerError, InvalidManifestError, NotYaml, ProviderError)

Parser = Callable[[str], Any]


def _content_type(text: str) -> Any:
    return multipart.read(f"multipart/form-data{text}; boundary=b", b"--b--")


def _part_headers(text: str) -> Any:
    part = f'--b\r\nContent-Disposition: form-data; name="a"{text}\r\n\r\nx\r\n'.encode()
    return multipart.read("multipart/form-data; boundary=b", part + b"--b--")


def _header_lines(text: str) -> Any:
    """As many blocks as the limits allow, each full."""
    head = b'Content-Disposition: form-data; name="a"'
    block = head + text.encode()[: multipart.MAX_HEADER_BYTES // 16 - len(head)]
    return multipart.read(
        "multipart/form-data; boundary=b", (b"--b\r\n" + block + b"\r\n\r\nx\r\n") * 16 + b"--b--"
    )


def _form_body(text: str) -> Any:
    part = f'--b\r\nContent-Disposition: form-data; name="a"\r\n\r\n{text}\r\n'.encode()
    return multipart.read("multipart/form-data; boundary=b", part + b"--b--")


def _json_body(text: str) -> Any:
    return http.read_json({"body": text, "isBase64Encoded": False})


def _manifest_body(text: str) -> Any:
    return manifest.read_upload({"parsed": _json_body(text)})


def _answer(text: str) -> Any:
    return transcript.read_transcript(text.encode(), None, 10.0)


def _refusal(text: str) -> Any:
    return transcript.refusal_message(f'{{"detail": "{text}"}}'.encode(), "sk-secret")


def _field(name: str) -> Parser:
    file = AudioFile(memoryview(b"audio"), cast(Any, SimpleNamespace(seconds=1.0)), "wav", "audio/wav")

    def read(text: str) -> Any:
        fields = [("model", "m"), (name, text)] if name != "model" else [("model", text)]
        return transcription_request.read_fields(
            [Part(each, None, memoryview(value.encode())) for each, value in fields], file
        )

    return read


def _provider(start: str, end: str = "") -> Parser:
    def read(text: str) -> Any:
        pieces = [f"HTTP/1.1 200 OK\r\n{start}{text}{end}".encode()]
        connection = SimpleNamespace(received=1, receive=lambda _: pieces.pop() if pieces else b"")
        deadline = Deadline(time.monotonic() + 60, time.monotonic)
        return read_answer(cast(Connection, connection), deadline, ANSWER)

    return read


PARSERS: dict[str, tuple[Parser, int, list[str]]] = {
    "Content-Type": (_content_type, HEAD, [";", "a;", ';"', '="', "; a=", ";boundary*0=", "\\", " ", "%"]),
    "part headers": (_part_headers, 2_000_000, [";", '";"', "\r\na:", "\r\n\t"]),
    "header lines": (
        _header_lines,
        4096,
        [";", ";a=", "\r\na:", "\r\n:", "\r\n ", "\r", "\n", "\x1c", "\r\nFrom "],
    ),
    "form body": (
        _form_body,
        FIELD,
        ["\r\n--b", "\r\n--b\r\n", "\r\n--b--", "\r\n--", "\r", "\r\n", "-", "b"],
    ),
    "Authorization": (authorization.bearer_key, HEAD, [" ", "Bearer ", "sk-", "a"]),
    "If-None-Match": (lambda text: '"0123456789abcdef"' in text, HEAD, ['"', '"0123456789abcde', ","]),
    "asset": (
        lambda text: site.asset(Path(__file__).parent, text),
        HEAD,
        ["a/", "../", "/", "\0", "a", "./", "~"],
    ),
    "day": (lambda text: totals.Question.read({"start": text}, 0.0), HEAD, ["1", "2020-01-0", "-", "W"]),
    "JSON body": (_json_body, JSON, ["[", "1", '{"a":', "-", '"a', "[[],", " ", "\\"]),
    "JSON object": (lambda text: _json_body(f'{{{text}"a":1}}'), JSON, ['"a":1,', '"":[],', '"b":{"c":1},']),
    "manifest": (
        lambda text: _manifest_body(f'{{{text}"a":[0,1]}}'),
        JSON,
        ['"a":1,', '"":[],', '"b":{"c":1},'],
    ),
    "manifest key": (
        lambda text: _manifest_body(f'{{"{text}":[{"0," * 40_000}0]}}'),
        JSON // 2,
        ["a", "1", " ", "."],
    ),
    "mime_type": (uploads._media_type, JSON, ["a", "a/", " ", "a/b;", "\t", "!"]),
    "language": (_field("language"), FIELD, ["en-", "-a", "en", " ", "_"]),
    "temperature": (_field("temperature"), FIELD, ["0", "0.", "0e", " ", "+"]),
    "stream": (_field("stream"), FIELD, ["false", " "]),
    "another field": (_field("x"), FIELD, ["a", " "]),
    "provider's answer": (_answer, ANSWER, ["[", "1", '{"text":', "-", '"', "[[],", " ", "\ufeff"]),
    "provider's segments": (
        lambda text: _answer(f'{{"text":"","segments":[{text}{{}}]}}'),
        ANSWER,
        ["[],", "{},", '{"start":0,"end":0,"text":"","a":[1]},', "1e9,", "1e999,"],
    ),
    "provider's figure": (
        lambda text: _answer(f'{{"text":"","duration":{text}}}'),
        ANSWER,
        ["9", "1e9", "0.0"],
    ),
    "provider's digits": (
        lambda text: _answer(f'{{"text":"","duration":"{text}"}}'),
        ANSWER,
        ["9", ".", "9."],
    ),
    "refusal": (
        _refusal,
        ANSWER,
        [
            "a",
            "a.",
            "a-",
            "a:",
            "/a",
            "f:",
            "1.",
            "_",
            "-.",
            " ",
            "key ",
            "key=",
            "sk-",
            "a.b-",
            "[",
            "://",
            "a:1/",
        ],
    ),
    "provider's headers": (_provider("", "\r\n\r\n"), HEAD - 10, ["a:\r\n", "a:", "a\r\n", ": ", "\r"]),
    "interim answers": (
        lambda text: _provider((f"{text}\r\nHTTP/1.1 100 C\r\n") * 20)(text),
        HEAD - 10,
        ["a:\r\n"],
    ),
    "Retry-After": (
        _provider("content-length:0\r\nretry-after:", "\r\n\r\n"),
        HEAD - 50,
        ["1", "1 ", "a ", "1:", "-", ","],
    ),
    "Content-Length": (_provider("content-length:", "\r\n\r\n"), HEAD - 50, ["1", "1,", ",", " "]),
    "chunks": (
        _provider("transfer-encoding:chunked\r\n\r\n"),
        2 * ANSWER,
        ["1\r\na\r\n", "1\na\n", "0", "1;", "\r\n"],
    ),
    "YAML": (
        read_yaml,
        YAML,
        [
            "[",
            "{",
            "- ",
            "? ",
            "a: ",
            "&a ",
            "*a ",
            "!",
            "'",
            '"',
            "#\n",
            "%A\n",
            "a:\n",
            ":",
            "\t",
            "---\n",
            "0",
            "<<: ",
        ],
    ),
    "YAML numbers": (
        lambda text: manifest.validate(read_yaml(f"a: {text}").value),
        YAML - 20,
        ["9", "!!float 1", "0x0", "f"],
    ),
    "YAML base 60": (lambda text: read_yaml(f"a: !!int 1{text}"), YAML - 20, [":1", ":59", "_"]),
    "YAML base 60 float": (lambda text: read_yaml(f"a: !!float 1{text}"), YAML - 20, [":1", ":59", "_"]),
    "YAML hexadecimal": (
        lambda text: manifest.validate(read_yaml(f"a: 0x{text}").value),
        YAML - 20,
        ["f", "0"],
    ),
    "YAML merges": (lambda text: read_yaml(f"<<: [{text}{{}}]"), YAML - 20, ["{a: 1},", "[],", "{},"]),
    "path of a problem": (Document().line_of, ANSWER, ["a", ".a", "[1]", '["', '["a"]', "[", '["\\']),
}
CASES = [
    pytest.param(parse, (unit * size)[:size], id=f"{name}: {unit!r}")
    for name, (parse, size, units) in PARSERS.items()
    for unit in units
]


@pytest.mark.parametrize(("parse", "text"), CASES)
def test_no_parser_takes_more_than_two_seconds_or_raises_an_uncaught_error(parse: Parser, text: str) -> None:
    spent = 9.0
    for _ in range(3):  # other processes may have used the caches
        started = time.process_time()
        with contextlib.suppress(*REFUSED):
            parse(text)
        spent = min(spent, time.process_time() - started)
        if spent < 2.0:
            break
    assert spent < 2.0


def test_yaml_with_many_merged_objects_is_read_completely() -> None:
    merged = ",".join(f"{{k{number}: {number}}}" for number in range(3000))
    assert read_yaml(f"<<: [{merged}, {{k1: 9}}]\nk2: 8").value == {
        f"k{n}": 8 if n == 2 else n for n in range(3000)
    }
