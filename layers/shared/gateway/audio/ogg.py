"""Ogg: the packets of every logical stream, page by page (RFC 3533), less what the last granule trims off."""

from binascii import crc32
from itertools import accumulate
from struct import Struct

from .flac import FlacFrames, read_streaminfo_rate
from .limits import Budget, occurrences
from .opus import OpusPackets, read_opus_head
from .result import Finding
from .vorbis import VorbisPackets, read_vorbis_headers

_unpack_page = Struct("<4sBBqIIIB").unpack_from
_HEADER = 27
_CONTINUED, _FIRST, _LAST = 1, 2, 4
_NO_GRANULE = -1
_MAX_HEADER_PAGES = 1024  # pages that header packets may span, with cover art in the comments

_OTHER_AUDIO = {b"Speex   ": "speex", b"PCM     ": "pcm", b"CELT    ": "celt"}
_NO_AUDIO = (b"\x80theora", b"BBCD\0", b"OVP80", b"\x80kate", b"\x80daala")
_INDEX = b"fishead\0"  # Skeleton describes the other streams and is not a track

_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


def measure_ogg(view: memoryview, found: Finding, budget: Budget) -> None:
    """Adds up the links of a chain: in each, the longest of the multiplexed audio streams."""
    walk = _Walk(view, found, budget)
    position = 0
    while position < len(view) and walk.seconds() <= budget.max_seconds:
        size = walk.add_page(position)
        if size:
            position += size
        else:
            walk.damaged = True
            position = next(occurrences(view, b"OggS", position + 1), len(view))
    found.seconds = walk.seconds()
    if found.has_audio is None and walk.tracks and not walk.damaged and not walk.unknown:
        found.has_audio = False


def is_page(view: memoryview, budget: Budget) -> bool:
    """Whether the file begins with a whole page that has a correct checksum and begins a stream."""
    page = _Page(view, 0) if len(view) >= _HEADER else None
    if page is None or not page.valid or not page.flags & _FIRST or page.end > len(view):
        return False
    budget.spend(page.size >> 7)
    return bool(page.checksum == _checksum(view[: page.end]))


def _checksum(page: memoryview) -> int:
    """Ogg's CRC-32 (RFC 3533 section 6) of a page, with its checksum field taken as zero.

    It uses zlib's polynomial, but takes the highest bit first and inverts nothing. So this reverses the bits
    of each byte before, reverses those of the result after, and undoes the inversions.
    """
    blank = b"".join((page[:22], b"\0\0\0\0", page[26:]))
    crc = crc32(blank.translate(_REVERSED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int.from_bytes(crc.to_bytes(4, "little").translate(_REVERSED), "big")


class _Page:
    """A page header (RFC 3533 section 6), and its data from `body` to `end`."""

    __slots__ = (
        "body",
        "checksum",
        "end",
        "flags",
        "granule",
        "lacing",
        "sequence",
        "serial",
        "size",
        "valid",
    )

    def __init__(self, view: memoryview, position: int) -> None:
        fields = _unpack_page(view, position)
        magic, version, self.flags, self.granule, self.serial, self.sequence, self.checksum, count = fields
        self.valid = bool(magic == b"OggS" and version == 0)
        self.body = position + _HEADER + count
        self.lacing = bytes(view[position + _HEADER : self.body])
        self.size: int = _HEADER + count + sum(self.lacing)
        self.end = position + self.size


class _Walk:
    """The streams of the current link, and the seconds of the links before it."""

    def __init__(self, view: memoryview, found: Finding, budget: Budget) -> None:
        self._view = view
        self._found = found
        self._budget = budget
        self._streams: dict[int, _Stream] = {}
        self._in_link = False  # after a page that starts no stream, the next that does starts a new link
        self._finished = 0.0
        self._longest = 0.0
        self.damaged = False
        self.tracks = 0
        self.unknown = 0

    def seconds(self) -> float:
        """Seconds found so far."""
        return self._finished + self._longest

    def add_page(self, position: int) -> int:
        """Adds the page at `position`; returns its bytes, or 0 if it is not a page, cut short or damaged.

        Decoders drop such a page too.
        """
        view = self._view
        self._budget.spend(5)
        page = _Page(view, position) if position + _HEADER <= len(view) else None
        if page is None or not page.valid or page.end > len(view):
            return 0
        # The checksum costs one step per 128 bytes, a packet half a step.
        self._budget.spend((page.size >> 7) + (len(page.lacing) >> 1))
        if page.checksum != _checksum(view[position : page.end]):
            return 0
        if page.flags & _FIRST:
            self._start_stream(page.serial, bytes(view[page.body : page.end]))
        else:
            self._in_link = True
        stream = self._streams.get(page.serial)
        if stream and stream.headers >= 0:
            self._longest = max(self._longest, stream.add_page(view, page))
        return page.size

    def _start_stream(self, serial: int, packet: bytes) -> None:
        self._budget.spend(3)
        if self._in_link:
            self._finished += self._longest
            self._longest = 0.0
            self._streams = {}
            self._in_link = False
        stream = self._streams[serial] = _Stream(packet)
        if stream.codec:
            self._found.has_audio = True
            self._found.codec = self._found.codec or stream.codec
        elif packet.startswith(_NO_AUDIO):
            self.tracks += 1
        elif not packet.startswith(_INDEX):
            self.unknown += 1


class _Stream:
    """One logical stream; measures each packet when the page that completes it arrives."""

    def __init__(self, packet: bytes) -> None:
        self.codec: str | None = None
        self.headers = -1  # header packets still to come; -1: a stream that cannot be measured
        self._packets: OpusPackets | VorbisPackets | FlacFrames | None = None
        self._identification = packet
        self._samples = 0
        self._trimmed = 0
        self._granule = 0
        self._sequence = -1
        self._open: tuple[int, int] | None = (
            None  # start and bytes so far of a packet that the next page continues
        )
        self._pages: list[memoryview] = []  # the data of the header pages
        self._identify(packet)

    def _identify(self, packet: bytes) -> None:
        if packet.startswith(b"OpusHead"):
            self.codec, self._packets, self.headers = "opus", read_opus_head(packet), 2
        elif packet.startswith(b"\x01vorbis"):
            self.codec, self.headers = "vorbis", 3
        elif packet.startswith(b"\x7fFLAC") and packet[9:13] == b"fLaC":
            # The other metadata blocks are packets, but not frames (RFC 9639 section 10.1).
            rate = read_streaminfo_rate(packet[17:])
            self.codec, self._packets, self.headers = "flac", FlacFrames(rate), 1
        else:
            self.codec = _OTHER_AUDIO.get(packet[:8])

    def add_page(self, view: memoryview, page: _Page) -> float:
        """Measures the packets that end on this page; returns the stream's seconds so far."""
        continued = bool(page.flags & _CONTINUED)
        if not continued or page.sequence != (self._sequence + 1) & 0xFFFFFFFF:
            self._open = None
        self._sequence = page.sequence
        starts, sizes = self._split(page.body, page.lacing, continued)
        if self.headers:
            self._pages.append(view[page.body : page.end])
            starts, sizes = self._skip_headers(starts, sizes)
        samples = self._packets.count(view, starts, sizes) if self._packets and starts else 0
        self._samples += samples
        if page.granule != _NO_GRANULE:
            if page.flags & _LAST:
                # The last granule position may be before the end of the last packet (RFC 7845 section 4.4,
                # Vorbis I section A.2). Compare it with the page before, because a stream may start anywhere;
                # trim no more than the samples of its own page.
                self._trimmed = min(max(0, self._granule + samples - page.granule), samples)
            self._granule = page.granule
        packets = self._packets
        if packets is None or not packets.rate:
            return 0.0
        return max(0, self._samples - packets.priming - self._trimmed) / packets.rate

    def _split(self, body: int, lacing: bytes, continued: bool) -> tuple[list[int], list[int]]:
        """Starts and sizes of the packets that end on this page (RFC 3533 section 5), without empty ones.

        A packet that began on an earlier page starts there: at least its first 255 bytes are contiguous.
        """
        if self._open is None and not continued and 255 not in lacing and 0 not in lacing:
            return list(accumulate(lacing, initial=body))[:-1], list(lacing)
        lost = continued and self._open is None
        begin, size = self._open or (body, 0)
        at = body
        starts, sizes = [], []
        for lace in lacing:
            size += lace
            at += lace
            if lace < 255:
                if size and not lost:
                    starts.append(begin)
                    sizes.append(size)
                lost = False
                begin, size = at, 0
        self._open = (begin, size) if lacing.endswith(b"\xff") and not lost else None
        return starts, sizes

    def _skip_headers(self, starts: list[int], sizes: list[int]) -> tuple[list[int], list[int]]:
        """Drops the header packets; a Vorbis stream can be measured after its third one."""
        count = min(self.headers, len(starts))
        self.headers -= count
        if self.codec == "vorbis":
            if not self.headers:
                # The setup header ends its page (Vorbis I section A.2), and its magic occurs nowhere else.
                pages = b"".join(self._pages)
                setup = pages[pages.rfind(b"\x05vorbis") :]
                self._packets = read_vorbis_headers(self._identification, setup)
            elif len(self._pages) > _MAX_HEADER_PAGES:
                self.headers = -1
        return starts[count:], sizes[count:]
