"""Makes local/samples/speech.wav (needs espeak-ng and ffmpeg), and checks that the recogniser hears every word.

`PYTHONPATH=. python local/make_sample.py`; the result is committed, so that nobody needs either program to run.
"""

import subprocess
import sys
from pathlib import Path

from local.recogniser.audio import decode
from local.recogniser.speech import Recogniser

SENTENCE = "we will meet at the station tomorrow morning"
# The recogniser's model is of American English; this voice at this pace it hears right, the default voice not.
VOICE = ["-v", "en-us+f2", "-s", "150"]
SAMPLE = Path(__file__).parent / "samples" / "speech.wav"


def main() -> int:
    """0 when the sample was made and is recognised word for word."""
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
