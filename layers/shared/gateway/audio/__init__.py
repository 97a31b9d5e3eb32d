"""placeholder until the prober lands"""

from typing import NamedTuple


class Audio(NamedTuple):
    format: str | None
    codec: str | None
    seconds: float | None
    has_audio: bool | None


def probe(data: bytes | bytearray | memoryview, *, max_seconds: float = 14400.0) -> Audio:
    if bytes(data[:4]) == b"RIFF":
        import io
        import wave

        with wave.open(io.BytesIO(data)) as w:
            return Audio("wav", "pcm", w.getnframes() / w.getframerate(), True)
    return Audio(None, None, None, None)
