"""The three calls that an operator's agent makes to a gateway, and their errors as messages."""

import re
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.auth import AuthBase

TIMEOUT_SECONDS = 15.0
_MAX_MESSAGE = 500
_KEY = re.compile(r"[\x21-\x7e]{1,512}")


class CallFailed(Exception):
    """A call failed.

    `passing`: whether the same call can succeed later (no answer, 408, 429, 5xx). `status`: None if there was no
    answer. `problems`: those of a rejected manifest.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        passing: bool = False,
        retry_after: float = 0.0,
        problems: tuple[str, ...] = (),
    ) -> None:
        super().__init__(message)
        self.status = status
        self.passing = passing
        self.retry_after = retry_after
        self.problems = problems


class _Bearer(AuthBase):
    """Passed as `auth`: otherwise requests lets a ~/.netrc replace the header."""

    def __init__(self, key: str) -> None:
        self._key = key

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._key}"
        return request


class GatewayCalls:
    """Calls the gateway at `url` (with or without the `/v1` that SDKs need) as the owner of `key`."""

    def __init__(self, url: str, key: str) -> None:
        """Raises ValueError if `url` or `key` is invalid."""
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("the gateway's URL must start with http:// or https:// and contain a host")
        if not _KEY.fullmatch(key):
            raise ValueError("the key must be printable ASCII characters without spaces")
        self.url = url.rstrip("/").removesuffix("/v1").rstrip("/")
        self.in_clear = parts.scheme == "http" and parts.hostname not in ("127.0.0.1", "localhost", "::1")
        self._session = requests.Session()
        self._session.auth = _Bearer(key)
        self._session.headers["User-Agent"] = "gateway-admin"

    def register(self, name: str, hostname: str, port: int, public_url: str | None) -> int:
        """Registers the provider and sets it online; returns its id."""
        body: dict[str, Any] = {"name": name, "tailnet_hostname": hostname, "agent_port": port}
        if public_url is not None:
            body["public_url"] = public_url
        return int(self._call("POST", "register", body).get("provider_id") or 0)

    def put_manifest(self, parsed: dict[str, Any]) -> None:
        """Uploads the manifest. `raw_yaml` stays empty: no gateway routes by it, and it may hold secrets."""
        self._call("PUT", "manifest", {"raw_yaml": "", "parsed": parsed})

    def heartbeat(self, name: str) -> None:
        self._call("POST", "heartbeat", {"name": name})

    def _call(self, method: str, action: str, body: dict[str, Any]) -> dict[str, Any]:
        url = f"{self.url}/api/inference/agent/{action}/"
        try:
            # Not followed: a redirect could carry the key to another host.
            answer = self._session.request(
                method, url, json=body, timeout=TIMEOUT_SECONDS, allow_redirects=False
            )
        except requests.RequestException as error:
            raise CallFailed(f"{self.url} {_reason(error)}", passing=True) from None
        reply = _object_in(answer)
        if answer.status_code == requests.codes.ok and reply is not None:
            return reply
        raise _failure(self.url, action, answer, reply or {})


def _reason(error: requests.RequestException) -> str:
    """Never returns the library's own text: it can contain the header with the key."""
    if isinstance(error, requests.Timeout):
        return f"did not answer within {TIMEOUT_SECONDS:.0f} s"
    if isinstance(error, requests.exceptions.SSLError):
        return "cannot be reached: its certificate is not valid"
    if "NameResolution" in repr(error):
        return "cannot be reached: its name does not resolve"
    if "refused" in repr(error):
        return "cannot be reached: connection refused"
    return "cannot be reached"


def _object_in(answer: requests.Response) -> dict[str, Any] | None:
    try:
        reply = answer.json()
    except ValueError:
        return None
    return reply if isinstance(reply, dict) else None


def _failure(url: str, action: str, answer: requests.Response, reply: dict[str, Any]) -> CallFailed:
    status = answer.status_code
    error = reply.get("error")
    said = error.get("message") if isinstance(error, dict) else None
    listed = reply.get("errors")
    problems = tuple(str(problem)[:2000] for problem in listed) if isinstance(listed, list) else ()
    if status == requests.codes.ok or (not said and not problems):
        message = (
            f"{url} answered {action} with HTTP {status}, which is not an stt-gateway answer: check the URL"
        )
    else:
        message = f"the gateway answered {action} with HTTP {status}: {str(said)[:_MAX_MESSAGE]}"
    return CallFailed(
        message,
        status=status,
        passing=status >= 500 or status in (408, 429),
        retry_after=_seconds(answer.headers.get("Retry-After")),
        problems=problems,
    )


def _seconds(text: str | None) -> float:
    # The header may also hold a date. That is ignored: the backoff decides.
    return min(float(text), 3600.0) if text and re.fullmatch(r"[0-9]{1,9}", text) else 0.0
