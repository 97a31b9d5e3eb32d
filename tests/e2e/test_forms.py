"""Forms as strangers send them: the contract's error or the contract's answer, never a defect."""

import pytest

from tests.e2e.conftest import Published
from tests.e2e.wire import BOUNDARY, WAV, assert_error, fields, file_part, form, part, post_form, transcribe
from tests.running import Gateway

pytestmark = pytest.mark.e2e
MULTIPART = "multipart/form-data"


@pytest.mark.parametrize(
    "content_type", [None, "application/json", "application/x-www-form-urlencoded", "text/plain"]
)
@pytest.mark.parametrize("body", [b"", b"{}", b"model=x"])
def test_a_body_that_is_no_form_at_all_has_no_file(
    gateway: Gateway, content_type: str | None, body: bytes
) -> None:
    assert_error(post_form(gateway, body, content_type=content_type), 400, "missing_file")


def test_a_form_without_any_byte_has_no_file(gateway: Gateway) -> None:
    assert_error(post_form(gateway, b""), 400, "missing_file")


def test_a_form_without_parts_has_no_file(gateway: Gateway) -> None:
    assert_error(post_form(gateway, form()), 400, "missing_file")


def test_a_form_sent_without_a_content_type_has_no_file(gateway: Gateway) -> None:
    whole = form(file_part(), fields(("model", "x")))
    assert_error(post_form(gateway, whole, content_type=None), 400, "missing_file")


@pytest.mark.parametrize(
    "content_type",
    [
        MULTIPART,
        f"{MULTIPART}; boundary=",
        f'{MULTIPART}; boundary=""',
        f"{MULTIPART}; boundary=another",
        f"{MULTIPART}; boundary={'x' * 71}",
        f"{MULTIPART}; charset=utf-8",
    ],
)
def test_a_missing_or_wrong_boundary_breaks_the_form(gateway: Gateway, content_type: str) -> None:
    whole = form(file_part(), fields(("model", "x")))
    assert_error(post_form(gateway, whole, content_type=content_type), 400, "invalid_request_error")


@pytest.mark.parametrize(
    "content_type", [f"Multipart/Form-Data; Boundary={BOUNDARY}", f'{MULTIPART};boundary="{BOUNDARY}"']
)
def test_the_content_type_is_read_in_any_case_and_quoted(gateway: Gateway, content_type: str) -> None:
    whole = form(fields(("model", "nobody/has-this")), file_part())
    assert_error(post_form(gateway, whole, content_type=content_type), 404, "no_provider")


@pytest.mark.parametrize("cut", [1, 4, 40, 1000])
def test_a_form_that_was_cut_off_is_broken(gateway: Gateway, cut: int) -> None:
    whole = form(fields(("model", "x")), file_part()).removesuffix(b"--\r\n")
    assert_error(post_form(gateway, whole[:-cut]), 400, "invalid_request_error")


def test_a_form_without_the_last_line_break_is_whole(gateway: Gateway) -> None:
    whole = form(fields(("model", "nobody/has-this")), file_part()).removesuffix(b"\r\n")
    assert_error(post_form(gateway, whole), 404, "no_provider")


def test_words_before_and_after_the_form_are_ignored(gateway: Gateway) -> None:
    whole = b"preamble\r\n" + form(fields(("model", "nobody/has-this")), file_part()) + b"epilogue"
    assert_error(post_form(gateway, whole), 404, "no_provider")


@pytest.mark.parametrize(
    "disposition", ["", "Content-Disposition: form-data\r\n", 'Content-Disposition: form-data; name=""\r\n']
)
def test_a_part_without_a_name_breaks_the_form(gateway: Gateway, disposition: str) -> None:
    nameless = f"--{BOUNDARY}\r\n{disposition}\r\nvalue\r\n".encode()
    assert_error(post_form(gateway, form(nameless, file_part())), 400, "invalid_request_error")


def test_two_files_break_the_form(gateway: Gateway) -> None:
    whole = form(file_part(), file_part(), fields(("model", "x")))
    assert_error(post_form(gateway, whole), 400, "invalid_request_error", param="file")


@pytest.mark.parametrize("name", ["model", "language", "prompt", "response_format", "temperature", "stream"])
def test_a_field_that_is_sent_twice_is_refused_under_its_name(gateway: Gateway, name: str) -> None:
    value = {"response_format": "json", "temperature": "0", "stream": "false", "language": "en"}.get(
        name, "x"
    )
    model = () if name == "model" else (("model", "x"),)
    whole = form(file_part(), fields(*model, (name, value), (name, value)))
    assert_error(post_form(gateway, whole), 400, "invalid_request_error", param=name)


@pytest.mark.parametrize("name", ["model", "prompt", "language", "hotwords"])
def test_a_field_that_is_not_utf_8_is_refused_under_its_name(gateway: Gateway, name: str) -> None:
    model = b"" if name == "model" else fields(("model", "x"))
    whole = form(file_part(), model, part(name, b"\xff\xfe\xc3"))
    assert_error(post_form(gateway, whole), 400, "invalid_request_error", param=name)


def test_ten_thousand_tiny_parts_are_refused(gateway: Gateway) -> None:
    whole = form(*(part(f"f{number}", "x") for number in range(10_000)), file_part())
    assert_error(post_form(gateway, whole), 400, "invalid_request_error")


def test_a_header_block_without_an_end_is_refused(gateway: Gateway) -> None:
    endless = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="x"\r\n'.encode()
    assert_error(post_form(gateway, form(endless + b"X: " + b"y" * 100_000)), 400, "invalid_request_error")


def test_thirty_two_further_fields_are_forwarded_and_one_more_is_refused(
    gateway: Gateway, published: Published
) -> None:
    further = [(f"field_{number}", str(number)) for number in range(32)]
    assert transcribe(gateway, *further, model=published.model).status == 200
    forwarded = published.stub.asked[0].fields
    assert [pair for pair in forwarded if pair[0].startswith("field_")] == further
    reply = transcribe(gateway, *further, ("field_32", "32"), model=published.model)
    assert_error(reply, 400, "invalid_request_error")


def test_a_further_field_of_8_kib_is_forwarded_unchanged_and_one_byte_more_is_refused(
    gateway: Gateway, published: Published
) -> None:
    value = " é\r\n\t" + "x" * (8192 - 6)
    assert transcribe(gateway, ("hotwords", value), model=published.model).status == 200
    assert ("hotwords", value) in published.stub.asked[0].fields
    reply = transcribe(gateway, ("hotwords", value + "x"), model=published.model)
    assert_error(reply, 400, "invalid_request_error")


@pytest.mark.parametrize(
    "inside",
    [
        f"\r\n--{BOUNDARY}X\r\n",
        f"\r\n--{BOUNDARY} x",
        f"--{BOUNDARY}\r\n",
        f"--{BOUNDARY}--",
        f"\n--{BOUNDARY}\n",
        f"\r\n--{BOUNDARY[:-1]}\r\n",
        '\r\n\r\nContent-Disposition: form-data; name="model"\r\n\r\n',
    ],
)
def test_audio_that_contains_something_like_a_delimiter_arrives_whole(
    gateway: Gateway, published: Published, inside: str
) -> None:
    audio = WAV[:2000] + inside.encode() + WAV[2000:] + b"\r\n"
    reply = transcribe(gateway, model=published.model, file=file_part(audio))
    assert reply.status == 200, reply.body
    body = published.stub.asked[0].body
    assert audio in body
    assert dict(published.stub.asked[0].fields)["model"] == f"served-{published.provider}"


@pytest.mark.parametrize("position", ["first", "last", "between"])
def test_the_file_may_stand_anywhere(gateway: Gateway, published: Published, position: str) -> None:
    model, language = fields(("model", published.model)), fields(("language", "en"))
    order = {"first": (file_part(), model, language), "last": (model, language, file_part())}
    whole = form(*order.get(position, (model, file_part(), language)))
    assert post_form(gateway, whole).status == 200


@pytest.mark.parametrize(
    "filename",
    [
        'secret-name.wav\\"; name=\\"model',
        "secret-name%0D%0AX-Injected: 1.wav",
        "../../secret-name.wav",
        "secret-name\x00.wav",
        "secret-name-" + "x" * 5000 + ".wav",
        "secret-name-é-日本.wav",
    ],
)
def test_a_hostile_filename_never_goes_upstream(
    gateway: Gateway, published: Published, filename: str
) -> None:
    hostile = part("file", WAV, filename=filename, content_type="audio/wav")
    reply = post_form(gateway, form(fields(("model", published.model)), hostile))
    assert reply.status in (200, 400), reply.body
    assert b"secret-name" not in reply.body
    for asked in published.stub.asked:
        assert b"secret-name" not in asked.body
        assert b"Injected" not in asked.body
        assert not any("injected" in name for name in asked.headers)
        assert asked.file.filename == "audio.wav"


def test_line_breaks_in_a_filename_are_no_headers(gateway: Gateway, published: Published) -> None:
    injected = (
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="secret-name\r\n'
        'X-Injected: 1"\r\nContent-Type: audio/wav\r\n\r\n'
    ).encode() + WAV
    reply = post_form(gateway, form(fields(("model", published.model)), injected + b"\r\n"))
    assert reply.status in (200, 400), reply.body
    for asked in published.stub.asked:
        assert b"secret-name" not in asked.body
        assert b"Injected" not in asked.body
