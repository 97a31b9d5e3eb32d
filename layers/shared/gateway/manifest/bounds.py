"""Check every value of a manifest, under known and unknown keys: size, depth, text, numbers."""

import json
import re
from collections.abc import Iterator
from itertools import islice

from gateway.manifest.problems import Problems, join, kind

MAX_BYTES = 64 * 1024
MAX_CHARACTERS = 1024
MAX_LEVELS = 32
# JSON needs two bytes per value ("0,"), so a document with more values than this is over the size limit.
MAX_VALUES = MAX_BYTES // 2 + 1
# 2^53 - 1, the largest integer that every JSON reader keeps.
LARGEST_NUMBER = 9_007_199_254_740_991
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
_SURROGATE = re.compile(r"[\ud800-\udfff]")
TOO_LARGE = f"must be at most {MAX_BYTES} bytes (64 KiB)"


def check_bounds(document: object, root: str, problems: Problems) -> bool:
    """Report every value that is not accepted; False when the document is too large or deep for further checks."""
    # Use an explicit stack, because the nesting may be deeper than Python's own stack.
    pending: list[tuple[object, str, int]] = [(document, "", 0)]
    seen = 0
    while pending:
        value, path, level = pending.pop()
        seen += 1
        if seen > MAX_VALUES:
            problems.add(root, f"{TOO_LARGE} as JSON")
            return False
        if level > MAX_LEVELS:
            problems.add(root, f"must be nested at most {MAX_LEVELS} levels deep")
            return False
        if isinstance(value, dict | list):
            # Reverse, so that values leave the stack in document order.
            pending.extend(
                (child, where, level + 1) for where, child in reversed(list(_entries(value, path)))
            )
            if isinstance(value, dict):
                _check_keys(value, path or root, problems)
        else:
            _check_scalar(value, path or root, problems)
    size = len(as_json(document))
    if size > MAX_BYTES:
        problems.add(root, f"{TOO_LARGE} as JSON, but is {size}")
    return True


def as_json(document: object) -> bytes:
    """The compact UTF-8 JSON whose length is limited. Values of other types are written with `str`."""
    text = json.dumps(document, ensure_ascii=False, separators=(",", ":"), skipkeys=True, default=str)
    return text.encode("utf-8", "surrogatepass")


def _entries(value: dict[object, object] | list[object], path: str) -> Iterator[tuple[str, object]]:
    # One more than the limit shows that it is exceeded: ten million items cost no more than 32,770.
    if isinstance(value, dict):
        for key, child in islice(value.items(), MAX_VALUES + 1):
            yield join(path, key), child
    else:
        for number, child in enumerate(islice(value, MAX_VALUES + 1)):
            yield f"{path}[{number}]", child


def _check_keys(value: dict[object, object], path: str, problems: Problems) -> None:
    for key in islice(value, MAX_VALUES + 1):
        if not isinstance(key, str):
            problems.add(path, f"keys must be text, but one is {kind(key)}")
        elif wrong := _text_problem(key):
            problems.add(path, f"a key {wrong}")


def _check_scalar(value: object, path: str, problems: Problems) -> None:
    if isinstance(value, str):
        if wrong := _text_problem(value):
            problems.add(path, wrong)
    elif isinstance(value, int | float):
        # Negated to refuse NaN, for which every comparison is false.
        if not -LARGEST_NUMBER <= value <= LARGEST_NUMBER:
            problems.add(path, f"must be a number between -{LARGEST_NUMBER} and {LARGEST_NUMBER}")
    elif value is not None:
        problems.add(
            path, f"must be text, a number, true, false, null, a list or an object, not {kind(value)}"
        )


def _text_problem(text: str) -> str | None:
    if len(text) > MAX_CHARACTERS:
        return f"must be at most {MAX_CHARACTERS} characters, but has {len(text)}"
    if _CONTROL.search(text):
        return "must not contain control characters (tab and line breaks are accepted)"
    if _SURROGATE.search(text):
        return "must be valid Unicode, but has half of a surrogate pair"
    return None
