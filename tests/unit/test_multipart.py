import contextlib
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from requests_toolbelt import MultipartDecoder, MultipartEncoder

from gateway import multipart
from gateway.errors import InvalidRequest

CONTENT_TYPE = "multipart/form-data; boundary=frontier"


def form(*parts: bytes, end: bytes = b"--frontier--\r\n") -> bytes:
    return b"".join(b"--frontier\r\n" + part + b"\r\n" for part in parts) + end


def field(name: str, value: bytes) -> bytes:
    return b'Content-Disposition: form-data; name="' + name.encode() + b'"\r\n\r\n' + value


def audio(content: bytes, headers: bytes = b'; filename="a.wav"\r\nContent-Type: audio/x-wav') -> bytes:
    return b'Content-Disposition: form-data; name="file"' + headers + b"\r\n\r\n" + content


def test_fields_and_file_are_read_in_the_order_they_were_sent() -> None:
    parts = multipart.read(CONTENT_TYPE, form(field("model", b"m"), audio(b"RIFF"), field("prompt", b"p")))
    assert [(part.name, bytes(part.content), part.media_type) for part in parts] == [
        ("model", b"m", None),
        ("file", b"RIFF", "audio/x-wav"),
        ("prompt", b"p", None),
    ]


def test_the_audio_is_a_view_into_the_body_and_not_a_copy() -> None:
    body = form(audio(b"x" * 1000))
    assert multipart.read(CONTENT_TYPE, body)[0].content.obj is body


@pytest.mark.parametrize(
    "lookalike",
    [
        b"\r\n--frontierX",
        b"--frontier",
        b"\r\n--frontie",
        b"\n--frontier\r\n",
        b"\r\n--frontier \t x\r\n",
        b"\r\n--frontier-",
    ],
)
def test_audio_that_contains_a_near_delimiter_is_kept_whole(lookalike: bytes) -> None:
    content = b"before" + lookalike + b"after"
    assert bytes(multipart.read(CONTENT_TYPE, form(audio(content)))[0].content) == content


def test_white_space_after_a_delimiter_a_preamble_and_an_epilogue_are_not_content() -> None:
    body = b"preamble\r\n--frontier \t\r\n" + field("a", b"1") + b"\r\n--frontier--\r\nepilogue --frontier"
    assert [bytes(part.content) for part in multipart.read(CONTENT_TYPE, body)] == [b"1"]


def test_a_quoted_boundary_next_to_a_charset_is_understood() -> None:
    content_type = 'Multipart/Form-Data; charset=utf-8; boundary="frontier"'
    assert multipart.is_multipart(content_type)
    assert len(multipart.read(content_type, form(field("a", b"1")))) == 1


def test_a_file_without_a_filename_is_still_the_file() -> None:
    (part,) = multipart.read(CONTENT_TYPE, form(audio(b"x", headers=b"")))
    assert (part.name, part.media_type) == ("file", None)


def test_a_part_may_be_empty() -> None:
    assert multipart.read(CONTENT_TYPE, form(audio(b"")))[0].content.nbytes == 0


@pytest.mark.parametrize(
    "filename",
    [
        b'a"; name="model',
        b'a\\"; name=model',
        b"%0D%0AX-Injected: 1",
        "sprache-\u00fc.wav".encode(),
        b"\xff\xfe",
    ],
)
def test_a_filename_cannot_rename_the_part(filename: bytes) -> None:
    body = form(b'Content-Disposition: form-data; name="file"; filename="' + filename + b'"\r\n\r\nx')
    try:
        (part,) = multipart.read(CONTENT_TYPE, body)
    except InvalidRequest:
        return
    assert part.name == "file"


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("multipart/form-data", form(field("a", b"1"))),
        ("multipart/form-data; boundary=", form(field("a", b"1"))),
        ("multipart/form-data; boundary=" + "x" * 71, form(field("a", b"1"))),
        ("multipart/form-data; boundary=other", form(field("a", b"1"))),
        (CONTENT_TYPE, form(field("a", b"1"), end=b"")),
        (CONTENT_TYPE, form(field("a", b"1"))[:-8]),
        (CONTENT_TYPE, form(b"Content-Disposition: form-data\r\n\r\nx")),
        (CONTENT_TYPE, form(b'Content-Disposition: form-data; name=""\r\n\r\nx')),
        (CONTENT_TYPE, form(b'Content-Disposition: attachment; name="a"\r\n\r\nx')),
        (CONTENT_TYPE, form(b"no headers at all")),
        (CONTENT_TYPE, form(b"\r\nonly content")),
        (CONTENT_TYPE, form(b"X: " + b"y" * 20_000 + b"\r\n\r\nx")),
        (CONTENT_TYPE, form(*[field("a", b"1")] * (multipart.MAX_PARTS + 1))),
        (CONTENT_TYPE, form(*[field("a", b"")] * 10_000)),
    ],
)
def test_a_broken_form_is_refused(content_type: str, body: bytes) -> None:
    with pytest.raises(InvalidRequest):
        multipart.read(content_type, body)


def test_a_form_with_only_a_closing_delimiter_has_no_parts() -> None:
    assert multipart.read(CONTENT_TYPE, form()) == []


@pytest.mark.parametrize(
    "name",
    [
        "name*=idna''file",
        "name*=undefined''x",
        "name*=a%00b''x",
        "name*=utf-8''%FF",
        "name*=file",
        "name*0=fi; name*1=le",
        f"name*{'9' * 4000}=x",
    ],
)
def test_extended_parameters_that_do_not_follow_rfc_8187_are_a_broken_form(name: str) -> None:
    part = f"Content-Disposition: form-data; {name}\r\n\r\nx".encode()
    with pytest.raises(InvalidRequest):
        multipart.read(CONTENT_TYPE, form(part))
    with pytest.raises(InvalidRequest):
        multipart.read(f"multipart/form-data; {name.replace('name', 'boundary', 1)}", form(part))


def test_text_that_is_not_utf8_is_refused_naming_the_field() -> None:
    (part,) = multipart.read(CONTENT_TYPE, form(field("prompt", b"\xff")))
    with pytest.raises(InvalidRequest) as refused:
        part.text()
    assert refused.value.param == "prompt"


NAMED = b'Content-Disposition: form-data; name="a"'


@pytest.mark.parametrize(
    ("parameters", "name"),
    [
        ('name="file"', "file"),
        ("name=file", "file"),
        ("NAME = file ", "file"),
        ("name=two words; x=1", "two words"),
        (';;; ;name="file";;', "file"),
        ('filename="a;b.wav"; name="file"', "file"),
        ('filename="a; name=x; .wav"; name="file"', "file"),
        ('filename="say \\"hi\\".wav"; name="file"', "file"),
        ('filename="C:\\temp\\a.wav"; name="file"', "file"),
        ('filename="my "best" song.wav"; name="file"', "file"),
        ('name="file"; filename="my "best song.wav', "file"),
        ('name="a\\"b\\\\c"', 'a"b\\c'),
        ('name="a%22b"', "a%22b"),
        ('name="pr\u00e9nom"', "pr\u00e9nom"),
        ("name*=UTF-8''pr%C3%A9nom", "pr\u00e9nom"),
        ("name*=utf-8'fr'pr%C3%A9nom", "pr\u00e9nom"),
        ("name*=iso-8859-1''pr%E9nom", "pr\u00e9nom"),
        ("name*=\"utf-8''file\"", "file"),
        ("name=plain; name*=utf-8''extended", "extended"),
        ('name="file"; name="model"', "file"),
        ('flag; name="file"', "file"),
        ('\r\n name="file";\r\n\tfilename="a.wav"', "file"),
        ("filename*=utf-8''%FF; name=file", "file"),
    ],
)
def test_names_are_read_in_every_form_that_clients_write(parameters: str, name: str) -> None:
    part = f"X-Other: 1\r\nContent-Disposition: form-data; {parameters}\r\n\r\nx".encode()
    assert [each.name for each in multipart.read(CONTENT_TYPE, form(part))] == [name]


@pytest.mark.parametrize(
    "hostile", [";", "a;", '";"', "=", 'x="', "\\", '"\\"', " ", "; name*0", ";a=;", ";\r\n\t", "*''%"]
)
def test_header_parameters_cost_linear_time(hostile: str) -> None:
    """2 MB of semicolons took 28 s with the `email` package of Python 3.13.0."""
    filling = (hostile * 2_000_000)[:2_000_000]
    part = f"Content-Disposition: form-data; name=a{filling}\r\n\r\nx".encode()
    started = time.process_time()
    with pytest.raises(InvalidRequest):
        multipart.read(CONTENT_TYPE, form(*[part[:16_000] + b"\r\n\r\nx"] * multipart.MAX_PARTS))
    with pytest.raises(InvalidRequest, match="4096 bytes"):
        multipart.read(CONTENT_TYPE, form(part))
    content_type = f"multipart/form-data{filling}"
    with contextlib.suppress(InvalidRequest):
        multipart.read(content_type, form(field("a", b"1")))
    assert time.process_time() - started < 1


def test_a_header_block_may_have_4_kib_but_not_one_byte_more() -> None:
    block = NAMED + b"\r\nX: "
    block += b"y" * (multipart.MAX_BLOCK_BYTES - len(block))
    assert multipart.read(CONTENT_TYPE, form(block + b"\r\n\r\nx"))[0].name == "a"
    with pytest.raises(InvalidRequest, match="4096 bytes"):
        multipart.read(CONTENT_TYPE, form(block + b"y\r\n\r\nx"))


def test_all_header_blocks_together_may_have_16_kib_but_not_one_byte_more() -> None:
    def parts(size: int) -> list[bytes]:
        block = NAMED + b"\r\nX: "
        return [block + b"y" * (size - len(block)) + b"\r\n\r\nx"]

    full = parts(128) * 128
    assert len(multipart.read(CONTENT_TYPE, form(*full))) == 128
    with pytest.raises(InvalidRequest, match="16384 bytes"):
        multipart.read(CONTENT_TYPE, form(*full[1:], *parts(129)))


def test_the_maximum_number_of_parts_with_ordinary_headers_passes() -> None:
    fields = [field(f"known_speaker_references[{n}]", b"x") for n in range(multipart.MAX_PARTS - 1)]
    assert len(multipart.read(CONTENT_TYPE, form(*fields, audio(b"x")))) == multipart.MAX_PARTS


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
def test_a_filename_may_be_utf_8_or_latin_1(encoding: str) -> None:
    filename = "pr\u00e9nom.wav".encode(encoding)
    (part,) = multipart.read(CONTENT_TYPE, form(audio(b"x", headers=b'; filename="' + filename + b'"')))
    assert (part.name, bytes(part.content)) == ("file", b"x")


@pytest.mark.parametrize("content", [bytearray, bytes])
def test_a_body_may_be_bytes_that_can_change(content: type[bytes | bytearray]) -> None:
    body = content(form(field("model", b"m"), audio(b"RIFF")))
    assert [bytes(part.content) for part in multipart.read(CONTENT_TYPE, body)] == [b"m", b"RIFF"]


@pytest.mark.parametrize(
    "line",
    [
        b"no colon",
        b"two words: x",
        b": no name",
        "pr\u00e9nom: x".encode(),
        b"X: a\nb",
        b"X: a\rb",
        b" folded: x",
    ],
)
def test_a_header_line_that_is_not_a_name_and_a_value_is_refused(line: bytes) -> None:
    with pytest.raises(InvalidRequest, match="malformed headers"):
        multipart.read(CONTENT_TYPE, form(line + b"\r\n" + NAMED + b"\r\n\r\nx"))


def test_similar_bytes_may_occur_often_but_not_without_limit() -> None:
    content = b"\r\n--frontierX" * (multipart.MAX_OCCURRENCES - 1)
    assert bytes(multipart.read(CONTENT_TYPE, form(audio(content)))[0].content) == content
    with pytest.raises(InvalidRequest, match="boundary more than 8192 times"):
        multipart.read(CONTENT_TYPE, form(audio(content + b"\r\n--frontierX")))


def test_the_first_delimiter_that_closes_the_form_ends_it() -> None:
    body = form(field("a", b"1")) + form(field("b", b"2"))
    assert [part.name for part in multipart.read(CONTENT_TYPE, body)] == ["a"]


_PRINTABLE = st.text(
    st.characters(exclude_categories=["C", "Z"], exclude_characters='"\\'), min_size=1, max_size=40
)
_CONTENTS = st.binary(max_size=300) | st.sampled_from([b"\r\n--", b"\r\n\r\n", b"--", b"\r", b"\n--frontier"])
_MEDIA_TYPES = st.sampled_from(["audio/wav", "audio/mp4; codecs=mp4a", "application/octet-stream"])
_VALUES = _CONTENTS | st.tuples(_PRINTABLE, _CONTENTS, _MEDIA_TYPES)


@given(st.lists(st.tuples(_PRINTABLE, _VALUES), min_size=1, max_size=8))
def test_parts_are_those_that_an_independent_encoder_made_and_decoder_found(
    fields: list[tuple[str, bytes | tuple[str, bytes, str]]],
) -> None:
    encoder = MultipartEncoder(fields)
    body, content_type = encoder.to_string(), encoder.content_type
    parts = multipart.read(content_type, body)
    decoded = MultipartDecoder(body, content_type).parts
    assert [part.name for part in parts] == [name for name, _ in fields]
    assert [bytes(part.content) for part in parts] == [part.content for part in decoded]
    labels = [part.headers.get(b"Content-Type", b"").decode().partition(";")[0] or None for part in decoded]
    assert [part.media_type for part in parts] == labels
