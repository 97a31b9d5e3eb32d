"""gateway.http.path_parameter: ids that contain slashes and percent signs."""

import pytest

from gateway.http import path_parameter


@pytest.mark.parametrize(
    ("sent", "delivered", "meant"),
    [
        ("qwen/asr", "qwen/asr", "qwen/asr"),
        ("qwen%2Fasr", "qwen%2Fasr", "qwen/asr"),
        ("qwen%2Fasr", "qwen/asr", "qwen/asr"),
        ("50%2525", "50%2525", "50%25"),
        ("50%2525", "50%25", "50%25"),
        ("a+b", "a+b", "a+b"),
        ("qwen/asr/", "qwen/asr/", "qwen/asr"),
    ],
)
def test_a_parameter_is_decoded_once_whether_or_not_api_gateway_did(
    sent: str, delivered: str, meant: str
) -> None:
    event = {"path": f"/v1/models/{sent}", "pathParameters": {"id": delivered}}
    assert path_parameter(event, "id") == meant


def test_a_missing_parameter_is_empty() -> None:
    assert path_parameter({"path": "/v1/models", "pathParameters": None}, "id") == ""
