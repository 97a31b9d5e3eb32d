"""What a probe finds."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn


class Audio:
    """A measured file; frozen. Hand-written because importing dataclasses or typing takes longer than a probe.

    - `format`: wav, mp3, mp4 (also m4a), flac, ogg, webm (also Matroska) or aac (ADTS); None if unknown.
    - `codec`: a name for people and logs; None if unknown.
    - `seconds`: None if the duration cannot be established.
    - `has_audio`: False only if the container is readable, has tracks, and all are known to be something
      else; None if unknown.
    """

    __slots__ = ("codec", "format", "has_audio", "seconds")
    __match_args__ = ("format", "codec", "seconds", "has_audio")

    format: str | None
    codec: str | None
    seconds: float | None
    has_audio: bool | None

    def __init__(
        self,
        format: str | None = None,
        codec: str | None = None,
        seconds: float | None = None,
        has_audio: bool | None = None,
    ) -> None:
        for name, value in zip(self.__match_args__, (format, codec, seconds, has_audio), strict=True):
            object.__setattr__(self, name, value)

    def __setattr__(self, name: str, value: object) -> "NoReturn":
        raise AttributeError(f"Audio is frozen: {name}")

    def __delattr__(self, name: str) -> "NoReturn":
        raise AttributeError(f"Audio is frozen: {name}")

    def _fields(self) -> tuple[object, ...]:
        return self.format, self.codec, self.seconds, self.has_audio

    def __eq__(self, other: object) -> bool:
        return self._fields() == other._fields() if isinstance(other, Audio) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._fields())

    def __repr__(self) -> str:
        return "Audio(format={!r}, codec={!r}, seconds={!r}, has_audio={!r})".format(*self._fields())


class Finding:
    """A walk fills this in as it goes, so its findings remain if it is cut short."""

    __slots__ = ("codec", "format", "has_audio", "seconds")

    def __init__(self) -> None:
        self.format: str | None = None
        self.codec: str | None = None
        self.seconds: float | None = None
        self.has_audio: bool | None = None

    def take(self, other: "Finding") -> None:
        """Replaces these findings with another walk's."""
        for name in self.__slots__:
            setattr(self, name, getattr(other, name))

    def result(self) -> Audio:
        """The frozen value; without samples there is no duration."""
        return Audio(self.format, self.codec, self.seconds or None, self.has_audio)
