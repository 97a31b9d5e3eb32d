"""Extract what routing and storage need from a valid manifest."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from gateway.models import Model, slug_of

# Shorter credentials are removed only from their own field, because they would match ordinary words.
_MIN_RECOGNISABLE = 8
# The agent's Kubernetes mode uploads the pod's whole command line, including `--api-key <secret>`.
_KEY_IN_COMMAND = re.compile(r"(--api[-_]key[=\s]+|api_key=)(\S+)", re.IGNORECASE)
# Fields that routing reads are never redacted, so a redacted manifest is valid and routes like the original.
_NOT_FREE_TEXT = frozenset(
    [
        "agent",
        "hosts",
        "services",
        "models",
        "id",
        "hf",
        "name",
        "type",
        "engine",
        "url",
        "vendor",
        "access",
        "allowed_users",
        "features",
        "input_modalities",
        "output_modalities",
    ]
)


@dataclass(frozen=True, slots=True)
class Service:
    """A service of a provider. `features` are trimmed and lower-cased; `access` is the manifest's value."""

    name: str
    type: str
    engine: str
    url: str
    features: tuple[str, ...] = ()
    access: str = "private"
    allowed_users: tuple[str, ...] = ()
    api_key: str | None = field(default=None, repr=False)
    models: tuple[Model, ...] = ()


@dataclass(frozen=True, slots=True)
class Manifest:
    """A valid manifest.

    `redacted` is the received manifest with unknown keys but without credentials: the only form that may be stored
    or shown. The credentials are in `services`, to be encrypted.
    """

    agent_name: str
    redacted: dict[str, Any]
    services: tuple[Service, ...]


def to_manifest(parsed: dict[str, Any]) -> Manifest:
    """Extract the values of a manifest that passed every check."""
    services = tuple(_service(raw) for _, raw in each_service(parsed))
    secrets = [service.api_key for service in services if service.api_key]
    return Manifest(
        agent_name=parsed["agent"]["name"],
        redacted=_redact(parsed, [secret for secret in secrets if len(secret) >= _MIN_RECOGNISABLE]),
        services=services,
    )


def each_service(parsed: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every service that is an object, with its path. Skips other values."""
    for path, host in objects_in(parsed, "hosts", ""):
        yield from objects_in(host, "services", f"{path}.")


def objects_in(parent: dict[str, Any], key: str, prefix: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """The objects in a list field, each with its path."""
    entries = parent.get(key)
    for number, entry in enumerate(entries if isinstance(entries, list) else []):
        if isinstance(entry, dict):
            yield f"{prefix}{key}[{number}]", entry


def ids_of(model: dict[str, Any]) -> tuple[str, str]:
    """Slug and served id of an unchecked model; empty when it has neither `id` nor `hf`."""
    served, hf = (value.strip() if isinstance(value := model.get(key), str) else "" for key in ("id", "hf"))
    return slug_of(hf or served), served or hf


def _service(raw: dict[str, Any]) -> Service:
    kind = raw.get("type") or "llm"
    return Service(
        name=raw["name"],
        type=kind,
        engine=raw["engine"],
        url=raw["url"],
        features=_words(raw, "features"),
        access=raw.get("access") or "private",
        allowed_users=tuple(dict.fromkeys(raw.get("allowed_users") or ())),
        api_key=raw.get("api_key"),
        models=tuple(_model(model) for model in raw.get("models") or ()),
    )


def _model(raw: dict[str, Any]) -> Model:
    slug, served_id = ids_of(raw)
    return Model(
        slug=slug,
        served_id=served_id,
        features=_words(raw, "features"),
        context_length=raw.get("context_length"),
        display_name=(raw.get("name") or "").strip() or None,
    )


def _words(raw: dict[str, Any], key: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(word.strip().lower() for word in raw.get(key) or ()))


def _redact(value: Any, secrets: list[str], *, key: str = "", free: bool = False) -> Any:
    """Remove credentials from the value. The result is never longer, so that redaction exceeds no limit."""
    if isinstance(value, dict):
        return {
            name: _redact(child, secrets, key=name, free=free or name not in _NOT_FREE_TEXT)
            for name, child in value.items()
            if not _is_credential(name)
        }
    if isinstance(value, list):
        return [_redact(child, secrets, key=key, free=free) for child in value]
    if isinstance(value, str) and free:
        for secret in secrets:
            value = value.replace(secret, "***")
        if key == "command":
            value = _KEY_IN_COMMAND.sub(lambda found: found[1] + "*" * min(3, len(found[2])), value)
    return value


def _is_credential(key: str) -> bool:
    # A key with another spelling or at another level is not used, but is still a secret.
    return key.lower().replace("-", "").replace("_", "") == "apikey"
