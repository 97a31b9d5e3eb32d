"""Read untrusted `multipart/form-data` with strict framing and without copying the audio.

This module finds the parts (RFC 2046 section 5.1), because toolbelt's decoder mistakes similar bytes in audio for a
delimiter, accepts a missing closing delimiter, and copies the body three times. toolbelt parses header blocks.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import unquote

from requests_toolbelt.multipart.decoder import BodyPart, ImproperBodyPartContentException

from gateway.errors import InvalidRequest

MAX_PARTS = 128
MAX_BLOCK_BYTES = 4096
MAX_HEADER_BYTES = 16_384
# RFC 2046 section 5.1.1: 1 to 70 characters of this set, the last not a space.
_BOUNDARY = re.compile(r"[0-9A-Za-z'()+_,./:=? -]{0,69}[0-9A-Za-z'()+_,./:=?-]")
_AFTER_DELIMITER = re.compile(rb"[ \t]*\r\n")
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
    return [_part(_headers(block), content) for block, content in frames]


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
    search = b"\r\n" + dashed
    if body.startswith(dashed):
        found, width = 0, len(dashed)
    else:
        found, width = body.find(search), len(search)
    while found >= 0:
        after = found + width
        if body.startswith(b"--", after):
            yield found, after + 2, True
        elif line_end := _AFTER_DELIMITER.match(body, after):
            yield found, line_end.end(), False
        # The line break after a delimiter may start the next delimiter (an empty part without headers).
        found, width = body.find(search, after), len(search)


def _headers(block: bytes) -> dict[str, str]:
    """Parse a header block into a dictionary with lower-case names."""
    # Text fields have the same blocks in every form. Do not keep a block with a filename.
    return _parsed(block) if b"filename" in block.lower() else _known(block)


def _parsed(block: bytes) -> dict[str, str]:
    """Parse with toolbelt. Raises InvalidRequest."""
    try:
        headers = BodyPart(block + b"\r\n\r\n", "utf-8").headers
        return {name.decode().lower(): value.decode() for name, value in headers.items()}
    except (ImproperBodyPartContentException, UnicodeDecodeError):
        raise InvalidRequest("A part of the multipart body has malformed headers.") from None


_known = lru_cache(maxsize=64)(_parsed)


def _part(headers: dict[str, str], content: memoryview) -> Part:
    header = headers.get("content-disposition", "")
    name = _parameter(header, "name")
    if header.split(";", 1)[0].strip().lower() != "form-data" or not name:
        raise InvalidRequest("A part of the multipart body has no name: each needs form-data with a name.")
    label = headers.get("content-type", "").split(";", 1)[0].strip().lower()
    return Part(name, label or None, content)


def _printable(name: str) -> str:
    return "".join(each for each in name[:64] if each.isprintable())
