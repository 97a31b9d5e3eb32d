"""ADTS (`.aac`): reads frame header by frame header (ISO/IEC 13818-7 section 6.2), past damage."""

from struct import Struct

from .aac import RATES, max_unit_bytes
from .limits import BATCH, Budget, occurrences
from .result import Finding

_unpack_header = Struct(">Q").unpack_from  # 56 header bits and the next 8
_HEADER, _CHECKSUM = 7, 2

# Frames in a row that identify a stream: at the first byte, after an ID3 tag, and after junk.
_CHAIN_AT_START, _CHAIN_AFTER_TAG, _CHAIN_AFTER_JUNK = 3, 2, 8
_SYNC = 0xFFF0  # twelve bits, then the version bit, then a layer that is always 0
_SYNC_MASK = 0xFFF6
# The bits of the first 28 that are constant within a stream: sync, profile, sample rate, channels.
_SAME_STREAM = 0xFFF6FDC
# The shortest audible element takes 29 bits, and the end of a block 3 (ISO/IEC 14496-3 section 4.4.2).
_MIN_BLOCK_BYTES = 4
_BLOCK_SAMPLES = 1024  # at the core rate: SBR doubles both rate and samples


def is_adts(view: memoryview, position: int, *, tagged: bool) -> bool:
    """Whether `position` starts enough consecutive frames; `tagged`: an ID3 tag ends there."""
    return _is_chain(view, position, _CHAIN_AFTER_TAG if tagged else _CHAIN_AT_START)


def find_adts(view: memoryview, start: int, end: int, budget: Budget) -> int | None:
    """Where a stream begins after junk, between `start` and `end`."""
    for position in occurrences(view[: end + 1], b"\xff", start):
        budget.spend()
        if _is_chain(view, position, _CHAIN_AFTER_JUNK):
            return position
    return None


def measure_adts(view: memoryview, start: int, found: Finding, budget: Budget) -> None:
    """Measures the frames from `start` on, each at its own rate, as decoders do."""
    found.codec = "aac"
    found.has_audio = True
    position, previous = start, 0
    seconds = 0.0
    while position + _HEADER < len(view) and seconds <= budget.max_seconds:
        budget.spend(8)  # even the shortest run of frames costs this much
        word = _read_header(view, position)
        if not _frame_size(view, position):
            position = _resync(view, position + 1, previous, budget)
            continue
        previous = word >> 36
        blocks, position = _count_run(view, position, word >> 36, budget)
        seconds += blocks * _BLOCK_SAMPLES / RATES[word >> 42 & 15]
    found.seconds = seconds


def _count_run(view: memoryview, position: int, stream: int, budget: Budget) -> tuple[int, int]:
    """Number of blocks in consecutive whole frames of one stream, and where they end."""
    last = len(view) - 8
    limit = max_unit_bytes(stream >> 2 & 7)
    frames = blocks = 0
    while position <= last:
        word = _unpack_header(view, position)[0]
        size = word >> 21 & 0x1FFF
        if word >> 36 != stream or size < _HEADER or position + size > last + 8:
            break
        position += size
        frames += 1
        payload = size - _HEADER - (0 if stream & 0x1000 else _CHECKSUM)
        # The header states the number of blocks; the bytes limit it. If bytes are left, decoders read them as
        # another block, so a frame too long for one block counts as the fewest blocks that fit.
        said = (word >> 8 & 3) + 1
        blocks += max(min(said, payload // _MIN_BLOCK_BYTES), 0 if payload <= limit else -(-payload // limit))
        if not frames % BATCH:
            budget.spend(BATCH)
            if blocks * _BLOCK_SAMPLES > budget.max_seconds * RATES[stream >> 6 & 15]:
                break
    budget.spend(frames % BATCH)
    return blocks, position


def _read_header(view: memoryview, position: int) -> int:
    """The header's 56 bits and the next 8, as one number; 0 if the file ends first."""
    head = bytes(view[position : position + 8])
    return int.from_bytes(head.ljust(8, b"\0"), "big") if len(head) >= _HEADER else 0


def _frame_size(view: memoryview, position: int) -> int:
    """Bytes of the whole frame at `position`; 0 if there is none."""
    word = _read_header(view, position)
    size = word >> 21 & 0x1FFF
    if word >> 48 & _SYNC_MASK != _SYNC or word >> 42 & 15 >= len(RATES) or size < _HEADER:
        return 0
    return size if position + size <= len(view) else 0


def _resync(view: memoryview, position: int, previous: int, budget: Budget) -> int:
    """Where frames continue after tags, damage or junk; the end of the file if they do not.

    One frame of the current stream is enough, so junk between frames cannot hide any.
    """
    for at in occurrences(view, b"\xff", position):
        budget.spend(2)
        stream = _read_header(view, at) >> 36
        if stream >> 12 & _SYNC_MASK != _SYNC:
            continue
        budget.spend(2)
        if previous and not (stream ^ previous) & _SAME_STREAM:
            if _frame_size(view, at):
                return at
        elif _is_chain(view, at, 2):
            return at
    return len(view)


def _is_chain(view: memoryview, position: int, wanted: int) -> bool:
    """Whether `wanted` frames of one stream are consecutive, or two that end with the file."""
    first = _read_header(view, position) >> 36
    for count in range(wanted):
        same = not (_read_header(view, position) >> 36 ^ first) & _SAME_STREAM
        size = _frame_size(view, position) if same else 0
        if not size:
            return count >= 2 and (position >= len(view) or bytes(view[position : position + 3]) == b"TAG")
        position += size
    return True
