"""Turns samples into words with times, by pocketsphinx and the US English model in its wheel."""

import math
import re
from dataclasses import dataclass
from typing import Any

from pocketsphinx import Decoder

from local.recogniser.audio import SAMPLE_RATE, Samples, cut

# Tuned on real recordings: wide beams with a cap on active states beat the defaults in errors and time.
_SETTINGS: dict[str, Any] = {
    "samprate": SAMPLE_RATE,
    "beam": 1e-60,
    "wbeam": 7e-40,
    "maxhmmpf": 10_000,
    "loglevel": "FATAL",
}
_FRAMES_PER_SECOND = 100
# A pause this long, in seconds, ends a segment.
_PAUSE_SECONDS = 0.3
# `<s>`, `<sil>`, `[NOISE]`, `++BREATH++` are not words; `read(2)` is a second pronunciation.
_FILLER = re.compile(r"^(<.*>|\[.*\]|\+\+.*\+\+)$")
_VARIANT = re.compile(r"\(\d+\)$")


@dataclass(frozen=True)
class Word:
    """A recognised word, its times in seconds, and its log posterior probability."""

    text: str
    start: float
    end: float
    log_probability: float


class Recogniser:
    """One decoder; it holds the interpreter's lock while working, so use one per process."""

    def __init__(self) -> None:
        self._decoder = Decoder(**_SETTINGS)

    def recognise(self, samples: Samples) -> list[Word]:
        """The words of a recording, in order; none for silence."""
        words: list[Word] = []
        for utterance in cut(samples):
            words.extend(self._words(utterance.samples.tobytes(), utterance.start))
        return words

    def _words(self, pcm: bytes, offset: float) -> list[Word]:
        decoder = self._decoder
        # Otherwise the mean of the last caller's voice affects this one, and results depend on order.
        decoder.reinit_feat()
        decoder.start_utt()
        decoder.process_raw(pcm, full_utt=True)
        decoder.end_utt()
        if decoder.hyp() is None:
            return []
        limit = offset + len(pcm) / 2 / SAMPLE_RATE
        return [
            Word(
                text=_VARIANT.sub("", part.word),
                start=round(offset + part.start_frame / _FRAMES_PER_SECOND, 2),
                end=round(min(offset + (part.end_frame + 1) / _FRAMES_PER_SECOND, limit), 2),
                log_probability=math.log(min(max(part.prob, 1e-30), 1.0)),
            )
            for part in decoder.seg()
            if not _FILLER.match(part.word)
        ]


def transcript(words: list[Word], duration: float) -> dict[str, Any]:
    """The answer in OpenAI's `verbose_json` format, with only what was recognised."""
    segments = _segments(words)
    return {
        "task": "transcribe",
        "language": "en",
        "duration": duration,
        "text": " ".join(segment["text"] for segment in segments),
        "segments": segments,
        "words": [{"word": word.text, "start": word.start, "end": word.end} for word in words],
    }


def _segments(words: list[Word]) -> list[dict[str, Any]]:
    groups: list[list[Word]] = []
    for word in words:
        if groups and word.start - groups[-1][-1].end < _PAUSE_SECONDS:
            groups[-1].append(word)
        else:
            groups.append([word])
    return [
        {
            "id": number,
            "start": group[0].start,
            "end": group[-1].end,
            "text": " ".join(word.text for word in group),
            "avg_logprob": round(sum(word.log_probability for word in group) / len(group), 4),
        }
        for number, group in enumerate(groups)
    ]
