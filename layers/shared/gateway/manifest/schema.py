"""The fields of a manifest (schema_version 1): which are required, and what each accepts."""

import re
from collections.abc import Callable
from urllib.parse import urlsplit

from gateway.manifest.bounds import LARGEST_NUMBER
from gateway.manifest.problems import Problems, join, kind

TYPES = ("llm", "stt", "tts", "image", "mesh", "music", "video", "scrape", "render", "audio-enhance")
ENGINES = ("vllm", "lmstudio", "ollama", "sglang", "llamacpp", "tgi", "other")
VENDORS = ("nvidia", "amd", "apple", "intel")
ACCESS = ("private", "authenticated", "restricted")
MAX_HOSTS = 50
MAX_SERVICES = 100
# Each takes a row for listings, and a place in every deployment of the service.
MAX_ALLOWED_USERS = 100
# Limit one service's share of the table and of listings.
MAX_MODELS = 200
MAX_FEATURES = 16
MAX_FEATURE_BYTES = 64
# Both are parts of table keys: a DynamoDB sort key is at most 1,024 bytes, partition key 2,048.
MAX_NAME_BYTES = 128
MAX_MODEL_BYTES = 256

URL_SAFE = "must be 1 to 64 of the characters A-Z a-z 0-9 . _ -, and not only dots"
NAME = (
    f"must be 1 to {MAX_NAME_BYTES} bytes of printable characters without / \\ # ? % and without "
    "spaces at either end, and not only dots"
)
MODEL_ID = f"must be 1 to {MAX_MODEL_BYTES} bytes of printable characters without #"
_URL_SAFE = re.compile(r"(?!\.+\Z)[A-Za-z0-9._-]{1,64}")
_NAME_FORBIDS = re.compile(r"[/\\#?%]")
_PRINTABLE_ASCII = re.compile(r"[\x21-\x7e]+")
_LINE_BREAK = re.compile(r"[\t\n\r]")

# Adds a problem if the value at the path is wrong. Null fields count as absent and are not checked.
Check = Callable[[object, str, Problems], None]


def is_url_safe(name: object) -> bool:
    """Whether a user id or provider name can be part of a URL path unescaped (contract, section 1)."""
    return isinstance(name, str) and _URL_SAFE.fullmatch(name) is not None


def _text(accepts: Callable[[str], bool], otherwise: str) -> Check:
    def check(value: object, path: str, problems: Problems) -> None:
        if not isinstance(value, str):
            problems.add(path, f"must be text, not {kind(value)}")
        elif not accepts(value):
            problems.add(path, otherwise)

    return check


def _one_of(accepted: tuple[str, ...]) -> Check:
    return _text(lambda value: value in accepted, f"must be one of [{', '.join(accepted)}]")


def _integer(minimum: int, maximum: int) -> Check:
    limits = (
        "a positive integer"
        if (minimum, maximum) == (1, LARGEST_NUMBER)
        else f"an integer from {minimum} to {maximum}"
    )

    def check(value: object, path: str, problems: Problems) -> None:
        # In Python bool is an int, but `count: true` is not a number.
        if not isinstance(value, int) or isinstance(value, bool):
            problems.add(
                path, f"must be {limits}, not {'a fraction' if type(value) is float else kind(value)}"
            )
        elif not minimum <= value <= maximum:
            problems.add(path, f"must be {limits}")

    return check


def _size(value: object, path: str, problems: Problems) -> None:
    if not isinstance(value, int | float) or isinstance(value, bool):
        problems.add(path, f"must be a number, not {kind(value)}")
    elif value < 0:
        problems.add(path, "must not be negative")


def _version(value: object, path: str, problems: Problems) -> None:
    if type(value) is not int or value != 1:
        problems.add(path, "must be 1, the only supported schema version")


def _anything(value: object, path: str, problems: Problems) -> None:
    if not isinstance(value, dict):
        problems.add(path, f"must be an object, not {kind(value)}")


def _list(check: Check, limit: int | None = None) -> Check:
    def check_all(value: object, path: str, problems: Problems) -> None:
        if not isinstance(value, list):
            problems.add(path, f"must be a list, not {kind(value)}")
            return
        if limit is not None and len(value) > limit:
            problems.add(path, f"must have at most {limit} entries, but has {len(value)}")
        for number, item in enumerate(value):
            check(item, f"{path}[{number}]", problems)

    return check_all


def _object(fields: dict[str, Check], required: tuple[str, ...] = ()) -> Check:
    def check_fields(value: object, path: str, problems: Problems) -> None:
        if not isinstance(value, dict):
            problems.add(path, f"must be an object, not {kind(value)}")
            return
        for key, check in fields.items():
            if value.get(key) is not None:
                check(value[key], join(path, key), problems)
            elif key in required:
                problems.add(join(path, key), "is required")

    return check_fields


def _is_name(value: str) -> bool:
    return (
        0 < len(value.encode("utf-8", "replace")) <= MAX_NAME_BYTES
        and value.isprintable()
        and value == value.strip()
        and value.strip(".") != ""
        and not _NAME_FORBIDS.search(value)
    )


def _is_model_id(value: str) -> bool:
    # Blank counts as absent, as in the agent. Check the slug too: lower-casing can lengthen a character.
    trimmed = value.strip()
    longest = max(len(text.encode("utf-8", "replace")) for text in (trimmed, trimmed.lower()))
    return longest <= MAX_MODEL_BYTES and "#" not in trimmed and (trimmed.isprintable() or not trimmed)


def _is_word(value: str) -> bool:
    return value.strip() != "" and not _LINE_BREAK.search(value)


def _is_feature(value: str) -> bool:
    # Features are compared in lower case, which can be longer than the original.
    word = value.strip()
    longest = max(len(text.encode("utf-8", "replace")) for text in (word, word.lower()))
    return _is_word(value) and longest <= MAX_FEATURE_BYTES


def _url(value: object, path: str, problems: Problems) -> None:
    """Check for an absolute URL. One that may not be dialled is accepted, but not routed."""
    if not isinstance(value, str):
        problems.add(path, f"must be text, not {kind(value)}")
        return
    # urlsplit drops tabs and line breaks, and browsers read a backslash as a slash, so refuse both.
    if not value.isprintable() or " " in value or "\\" in value:
        problems.add(path, "must not contain spaces, control characters or backslashes")
        return
    try:
        parts = urlsplit(value)
        complete = bool(parts.scheme and parts.hostname) and parts.port != 0
    except ValueError:
        complete = False
    if not complete:
        problems.add(path, "must be an absolute URL with scheme and host, such as https://stt.example.com/v1")
    elif "@" in parts.netloc:
        problems.add(path, "must not contain a user name or password: use api_key")
    elif "?" in value or "#" in value:
        problems.add(path, "must end before any ? or #: the gateway appends the route to it")


_line = _text(lambda value: not _LINE_BREAK.search(value), "must be one line, without tabs")
_notes = _text(lambda _: True, "")
_name = _text(_is_name, NAME)
_model_id = _text(_is_model_id, MODEL_ID)
_url_safe = _text(is_url_safe, URL_SAFE)
_words = _list(_text(_is_word, "must be one line and not empty"))
_features = _list(
    _text(_is_feature, f"must be one line, not empty and at most {MAX_FEATURE_BYTES} bytes"), MAX_FEATURES
)
_positive = _integer(1, LARGEST_NUMBER)
_api_key = _text(
    lambda value: _PRINTABLE_ASCII.fullmatch(value) is not None,
    "must be one or more printable ASCII characters without spaces",
)

_MODEL = _object(
    {
        "id": _model_id,
        "hf": _model_id,
        "name": _line,
        "input_modalities": _words,
        "output_modalities": _words,
        "features": _features,
        "context_length": _positive,
        "quantization": _line,
    }
)
_SERVICE = _object(
    {
        "name": _name,
        "type": _one_of(TYPES),
        "engine": _one_of(ENGINES),
        "url": _url,
        "features": _features,
        "models": _list(_MODEL, MAX_MODELS),
        "command": _notes,
        "extra": _anything,
        "access": _one_of(ACCESS),
        "allowed_users": _list(_url_safe, MAX_ALLOWED_USERS),
        "api_key": _api_key,
    },
    required=("name", "engine", "url"),
)
_GPU = _object({"vendor": _one_of(VENDORS), "model": _line, "vram_gb": _size, "count": _positive})
_HOST = _object(
    {
        "id": _name,
        "hostname": _line,
        "address": _line,
        "gpu": _GPU,
        "gpus": _list(_GPU),
        "notes": _notes,
        "services": _list(_SERVICE),
    },
    required=("id",),
)
_AGENT = _object(
    {"name": _url_safe, "hostname": _line, "listen_port": _integer(1, 65_535)}, required=("name",)
)
_HOSTS = _list(_HOST, MAX_HOSTS)
check_manifest = _object(
    {"schema_version": _version, "agent": _AGENT, "hosts": _HOSTS}, required=("schema_version", "agent")
)
