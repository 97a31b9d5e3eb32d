"""Manifests for tests: right ones to start from, and what is told of wrong ones."""

from typing import Any

import pytest

from gateway import manifest
from gateway.manifest import InvalidManifestError


def manifest_of(*services: dict[str, Any]) -> dict[str, Any]:
    return {
        "schema_version": 1,
        "agent": {"name": "home", "hostname": "club-host", "listen_port": 443},
        "hosts": [{"id": "rig-01", "services": list(services)}],
    }


def service(**fields: Any) -> dict[str, Any]:
    return {
        "name": "asr",
        "type": "stt",
        "engine": "vllm",
        "url": "https://stt.example.com/v1",
        "models": [{"id": "Qwen/Qwen3-ASR-1.7B"}],
    } | fields


def problems_of(parsed: object) -> list[str]:
    with pytest.raises(InvalidManifestError) as caught:
        manifest.validate(parsed)
    return caught.value.problems
