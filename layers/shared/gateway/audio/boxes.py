"""ISO base media file format boxes: size, type, body (ISO/IEC 14496-12 section 4.2)."""

from struct import unpack_from

from .limits import Budget

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator


def boxes(view: memoryview, budget: Budget) -> "Iterator[tuple[bytes, int, memoryview, bool]]":
    """Type, position and body of each box in `view`, and whether it is whole (the last may be cut short)."""
    position, end = 0, len(view)
    while position + 8 <= end:
        budget.spend()
        size, kind = unpack_from(">I4s", view, position)
        header = 8
        if size == 1 and position + 16 <= end:
            size = unpack_from(">Q", view, position + 8)[0]
            header = 16
        elif size == 0:
            size = end - position
        if size < header:
            return
        yield kind, position, view[position + header : min(position + size, end)], position + size <= end
        position += size


def find_box(view: memoryview, path: str, budget: Budget) -> memoryview:
    """The body of the first box at `path`, such as "mdia/minf"; empty if missing."""
    for name in path.encode().split(b"/"):
        view = next((body for kind, _, body, _ in boxes(view, budget) if kind == name), view[:0])
    return view


def read_integer(body: memoryview, position: int, width: int) -> int:
    """A big-endian field of a box; 0 if the box is too short."""
    return int.from_bytes(body[position : position + width], "big") if position + width <= len(body) else 0
