"""Operators' manifests: check them, report all problems at once, and extract what routing needs."""

from collections.abc import Iterable
from typing import Any

from gateway.manifest.bounds import MAX_BYTES, TOO_LARGE, check_bounds
from gateway.manifest.problems import InvalidManifestError, Problems, kind
from gateway.manifest.rows import MAX_ROWS, check_rows, count_rows, too_many_rows
from gateway.manifest.schema import MAX_SERVICES, URL_SAFE, check_manifest, is_url_safe
from gateway.manifest.values import (
    Manifest,
    Service,
    each_service,
    ids_of,
    objects_in,
    to_manifest,
)
from gateway.models import Model

__all__ = [
    "MAX_BYTES",
    "MAX_ROWS",
    "URL_SAFE",
    "InvalidManifestError",
    "Manifest",
    "Model",
    "Service",
    "count_rows",
    "is_url_safe",
    "read_stored",
    "read_upload",
    "too_many_rows",
    "validate",
]


def read_upload(body: object) -> Manifest:
    """Read the manifest in the body of `PUT .../manifest/`: `{"raw_yaml": str, "parsed": {...}}`.

    `raw_yaml` is optional. Only its size is checked; it is never parsed. Raises InvalidManifestError.
    """
    if not isinstance(body, dict):
        raise InvalidManifestError({"body": f"must be an object with raw_yaml and parsed, not {kind(body)}"})
    problems = Problems()
    raw_yaml = body.get("raw_yaml")
    if raw_yaml is not None and not isinstance(raw_yaml, str):
        problems.add("raw_yaml", f"must be text, not {kind(raw_yaml)}")
    elif raw_yaml and (size := len(raw_yaml.encode("utf-8", "surrogatepass"))) > MAX_BYTES:
        problems.add("raw_yaml", f"{TOO_LARGE}, but is {size}")
    return _read(body.get("parsed"), "parsed", problems)


def validate(parsed: object) -> Manifest:
    """Read the manifest in a parsed document (JSON, or YAML with JSON's types). Raises InvalidManifestError."""
    return _read(parsed, "manifest", Problems())


def read_stored(document: dict[str, Any]) -> Manifest:
    """Read the manifest in a stored document. It was valid when stored and is not checked again, so that later limits
    cannot make it unreadable."""
    return to_manifest(document)


def _read(parsed: object, root: str, problems: Problems) -> Manifest:
    if not isinstance(parsed, dict):
        wrong = "is required" if parsed is None else f"must be an object, not {kind(parsed)}"
        problems.add(root, wrong)
        raise InvalidManifestError(problems.found)
    if check_bounds(parsed, root, problems):
        check_manifest(parsed, "", problems)
        _check_hosts(parsed, problems)
        _check_services(parsed, problems)
    if problems.found:
        raise InvalidManifestError(problems.found)
    return to_manifest(parsed)


def _check_hosts(parsed: dict[str, Any], problems: Problems) -> None:
    if "hosts" not in parsed:
        # A missing list is usually a misspelt key, and would remove every service from routing.
        problems.add("hosts", "is required; write [] if there are none")
    _check_unique(objects_in(parsed, "hosts", ""), "id", "the id of another host", problems)


def _check_services(parsed: dict[str, Any], problems: Problems) -> None:
    services = list(each_service(parsed))
    if len(services) > MAX_SERVICES:
        wrong = f"must be at most {MAX_SERVICES} in all hosts together, but are {len(services)}"
        problems.add("hosts[].services", wrong)
    _check_unique(services, "name", "the name of another service", problems)
    for path, service in services:
        _check_models(path, service, problems)
    check_rows((service for _, service in services), problems)


def _check_models(path: str, service: dict[str, Any], problems: Problems) -> None:
    first: dict[str, str] = {}
    for where, model in objects_in(service, "models", f"{path}."):
        slug, served_id = ids_of(model)
        if not served_id:
            # An id of another type is already reported under its own path.
            if all(isinstance(model.get(key) or "", str) for key in ("id", "hf")):
                problems.add(where, "must have id or hf")
        # Only stt services route, so duplicates elsewhere are harmless.
        elif service.get("type") == "stt" and first.setdefault(slug, where) != where:
            problems.add(where, f"must not repeat {first[slug]}: ids are compared without case")


def _check_unique(
    entries: Iterable[tuple[str, dict[str, Any]]], key: str, what: str, problems: Problems
) -> None:
    first: dict[str, str] = {}
    for path, entry in entries:
        value = entry.get(key)
        if isinstance(value, str) and first.setdefault(value, path) != path:
            problems.add(f"{path}.{key}", f"must be unique, but is {what} ({first[value]})")
