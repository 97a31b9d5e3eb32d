"""Makes local/samples/speech.wav (needs espeak-ng and ffmpeg), and checks that every word is recognised.

`PYTHONPATH=. python local/make_sample.py`; the result is committed, so running needs neither program.
"""

import subprocess
import sys
from pathlib import Path

from local.recogniser.audio import decode
from local.recogniser.speech import Recogniser

SENTENCE = "we will meet at the station tomorrow morning"
# The model is American English. It recognises this voice at this speed, but not the default voice.
VOICE = ["-v", "en-us+f2", "-s", "150"]
SAMPLE = Path(__file__).parent / "samples" / "speech.wav"


def main() -> int:
    """Returns 0 if the sample is recognised word for word."""
    speak = ["espeak-ng", *VOICE, "--stdout", SENTENCE]
    convert = ["ffmpeg", "-v", "error", "-y", "-i", "-", "-ac", "1", "-ar", "16000", "-bitexact", str(SAMPLE)]
    speech = subprocess.run(speak, check=True, capture_output=True).stdout  # noqa: S603 - fixed arguments
    subprocess.run(convert, input=speech, check=True)  # noqa: S603 - fixed arguments
    words = Recogniser().recognise(decode(SAMPLE.read_bytes(), limit_seconds=60))
    heard = " ".join(word.text for word in words)
    print(f"{SAMPLE.name}: {SAMPLE.stat().st_size} bytes, heard: {heard}")
    return 0 if heard == SENTENCE else 1


if __name__ == "__main__":
    sys.exit(main())
