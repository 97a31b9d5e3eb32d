"""Read untrusted `multipart/form-data` (RFC 7578) with strict framing and without copying the audio.

Decoders made for e-mail mistake similar bytes in audio for a delimiter, accept a missing closing delimiter, or copy
the body.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import unquote

from gateway.errors import InvalidRequest
from gateway.search import occurrences

MAX_PARTS = 128
# Of delimiters and of similar bytes in content. A boundary with 16 random characters never occurs in audio.
MAX_OCCURRENCES = 8192
MAX_BLOCK_BYTES = 4096
MAX_HEADER_BYTES = 16_384
# RFC 2046 section 5.1.1: 1 to 70 characters of this set, the last not a space.
_BOUNDARY = re.compile(r"[0-9A-Za-z'()+_,./:=? -]{0,69}[0-9A-Za-z'()+_,./:=?-]")
_AFTER_DELIMITER = re.compile(rb"[ \t]*\r\n")
# A header's name (RFC 5322 section 3.6.8), and the line breaks inside a header (section 2.2.3).
_HEADER_NAME = re.compile(r"[!-9;-~]+")
_FOLD = re.compile(r"\r\n[ \t]+")
# `; name=token` or `; name="quoted"` (RFC 9110 section 5.6.6). Possessive repeats never backtrack, so a header takes
# linear time. Text between a value and the next semicolon is ignored, because old browsers put unescaped quotes into
# filenames.
_PARAMETER = re.compile(
    r';\s*+(?P<name>[^\s;="]++)\s*+=\s*+(?:"(?P<quoted>(?:[^"\\]|\\.)*+)"?|(?P<token>[^;"]*+))[^;]*+',
    re.DOTALL,
)
_ESCAPED = re.compile(r'\\(["\\])')
_EXTENDED = re.compile(r"(utf-8|iso-8859-1|us-ascii)'[^']*'(.*)", re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Part:
    """A part: its name, its labelled media type (lower case, no parameters), and its bytes."""

    name: str
    media_type: str | None
    content: memoryview

    def text(self) -> str:
        """Decode the content as UTF-8. Raises InvalidRequest, which names the field."""
        try:
            return str(self.content, "utf-8")
        except UnicodeDecodeError:
            raise InvalidRequest(
                f"The field '{_printable(self.name)}' must be UTF-8 text.", param=_printable(self.name)
            ) from None


def is_multipart(content_type: str) -> bool:
    """Whether a Content-Type header announces a multipart form."""
    return content_type.split(";", 1)[0].strip().lower() == "multipart/form-data"


def read(content_type: str, body: bytes | bytearray) -> list[Part]:
    """Read a form's parts, in order, as views into `body`. Raises InvalidRequest when the form is malformed."""
    frames = list(_frames(body, _boundary_of(content_type)))
    return [_part(block, content) for block, content in frames]


def _boundary_of(content_type: str) -> bytes:
    boundary = _parameter(content_type, "boundary")
    if boundary is None:
        raise InvalidRequest("The multipart body has no boundary in its Content-Type header.")
    if not _BOUNDARY.fullmatch(boundary.rstrip()):
        raise InvalidRequest("The multipart boundary is not valid: use 1 to 70 characters of RFC 2046.")
    return boundary.rstrip().encode("ascii")


def _parameter(header: str, name: str) -> str | None:
    """The first value of a header's parameter, or None, in time linear in the header's length.

    The extended form `name*=UTF-8''...` (RFC 8187) overrides the plain one. It is empty if it cannot be decoded.
    """
    plain: str | None = None
    for match in _PARAMETER.finditer(header):
        found, quoted = match["name"].lower(), match["quoted"]
        value = match["token"].strip() if quoted is None else _ESCAPED.sub(r"\1", quoted)
        if found == name and plain is None:
            plain = value
        elif found == f"{name}*":
            extended = _EXTENDED.fullmatch(value)
            try:
                return unquote(extended[2], extended[1], "strict") if extended else ""
            except UnicodeDecodeError:
                return ""
    return plain


def _frames(body: bytes | bytearray, boundary: bytes) -> Iterator[tuple[bytes, memoryview]]:
    """Yield each part's header block and content, up to the closing delimiter."""
    view = memoryview(body)
    start, count, header_bytes = None, 0, 0
    for at, after, closes in _delimiters(body, b"--" + boundary):
        if start is not None:
            count += 1
            if count > MAX_PARTS:
                raise InvalidRequest(f"The multipart body has more than {MAX_PARTS} parts: send fewer.")
            blank = body.find(b"\r\n\r\n", start, min(at, start + MAX_BLOCK_BYTES + 4))
            if blank < 0:
                raise InvalidRequest(
                    "A part of the multipart body has no header block, or one over the limit of "
                    f"{MAX_BLOCK_BYTES} bytes: shorten its name and filename."
                )
            header_bytes += blank - start
            if header_bytes > MAX_HEADER_BYTES:
                raise InvalidRequest(
                    f"The header blocks of the multipart body together exceed the limit of {MAX_HEADER_BYTES} bytes: "
                    "send fewer parts, or shorter names and filenames."
                )
            yield bytes(body[start:blank]), view[blank + 4 : at]
        if closes:
            return
        start = after
    raise InvalidRequest(
        "The multipart body does not end with its closing delimiter: it was cut off, or has another boundary."
    )


def _delimiters(body: bytes | bytearray, dashed: bytes) -> Iterator[tuple[int, int, bool]]:
    """Yield each delimiter: the start of its line break, the start of the next part, and whether it closes the form.

    A delimiter is at the start of the body or after a line break, and only white space may follow it on its line.
    The same bytes elsewhere are content.
    """
    for start in _starts(body, dashed):
        after = start + 2 + len(dashed)
        if body.startswith(b"--", after):
            yield start, after + 2, True
        elif line_end := _AFTER_DELIMITER.match(body, after):
            yield start, line_end.end(), False


def _starts(body: bytes | bytearray, dashed: bytes) -> Iterator[int]:
    """Find where a line break and `dashed` start, in order; -2 if the body starts with `dashed`.

    Raises InvalidRequest when there are too many.
    """
    if body.startswith(dashed):
        yield -2
    for number, start in enumerate(occurrences(body, b"\r\n" + dashed)):
        if number == MAX_OCCURRENCES:
            raise InvalidRequest(
                f"The multipart body contains its boundary more than {MAX_OCCURRENCES} times: "
                f"use a long random boundary, and send at most {MAX_PARTS} parts."
            )
        yield start


def _part(block: bytes, content: memoryview) -> Part:
    # Text fields have the same header blocks in every form. Do not keep a block with a filename.
    described = _described if b"filename" in block.lower() else _known
    name, media_type = described(block)
    return Part(name, media_type, content)


def _described(block: bytes) -> tuple[str, str | None]:
    """Read a part's name and media type from its header block. Raises InvalidRequest."""
    headers = _headers(block)
    header = headers.get("content-disposition", "")
    name = _parameter(header, "name")
    if header.split(";", 1)[0].strip().lower() != "form-data" or not name:
        raise InvalidRequest("A part of the multipart body has no name: each needs form-data with a name.")
    return name, headers.get("content-type", "").split(";", 1)[0].strip().lower() or None


_known = lru_cache(maxsize=64)(_described)


def _headers(block: bytes) -> dict[str, str]:
    """Parse a header block into a dictionary with lower-case names. Raises InvalidRequest."""
    headers = {}
    for line in _FOLD.sub(" ", _decoded(block)).split("\r\n"):
        name, colon, value = line.partition(":")
        if not colon or not _HEADER_NAME.fullmatch(name) or "\r" in value or "\n" in value:
            raise InvalidRequest("A part of the multipart body has malformed headers.")
        headers[name.lower()] = value
    return headers


def _decoded(block: bytes) -> str:
    """Decode UTF-8, as browsers and SDKs send, or else Latin-1, as curl does on an old terminal."""
    try:
        return block.decode()
    except UnicodeDecodeError:
        return block.decode("latin-1")


def _printable(name: str) -> str:
    return "".join(each for each in name[:64] if each.isprintable())
