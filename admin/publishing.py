"""Publishes a manifest, once or for as long as the process runs."""

import random
import signal
import time
from collections.abc import Callable

from admin.gateway_calls import CallFailed, GatewayCalls
from admin.manifest_file import ManifestFile

DEFAULT_PORT = 443
MAX_BACKOFF_SECONDS = 30.0

Say = Callable[[str], None]


class Publisher:
    """One provider's manifest at one gateway; `say` reports progress, `wait` sleeps (seconds)."""

    def __init__(
        self,
        file: ManifestFile,
        calls: GatewayCalls,
        say: Say,
        *,
        public_url: str | None = None,
        wait: Callable[[float], None] = time.sleep,
    ) -> None:
        self._file = file
        self._calls = calls
        self._say = say
        self._public_url = public_url
        self._wait = wait

    def publish(self) -> None:
        """Registers and uploads. Raises CallFailed."""
        agent = self._file.parsed["agent"]
        name = self._file.manifest.agent_name
        provider_id = self._calls.register(
            name, agent.get("hostname") or name, agent.get("listen_port") or DEFAULT_PORT, self._public_url
        )
        self._calls.put_manifest(self._file.parsed)
        services = self._file.manifest.services
        routing = sum(service.type == "stt" for service in services)
        self._say(
            f"published provider '{name}' (id {provider_id}) at {self._calls.url}; "
            f"services: {len(services)}, speech-to-text: {routing}"
        )

    def keep_online(self, every: float) -> None:
        """Publishes, then sends a heartbeat every `every` seconds, for ever; publishes again if the gateway has lost
        the provider. Retries temporary failures; raises CallFailed for others."""
        self._persist(self.publish)
        self._say(f"heartbeat every {every:g} s; stop with Ctrl-C")
        due = time.monotonic()
        while True:
            due += every
            self._wait(max(0.0, due - time.monotonic()))
            self._persist(self._beat)
            # After an outage the interval restarts: missed heartbeats are not sent.
            due = max(due, time.monotonic() - every)

    def _beat(self) -> None:
        try:
            self._calls.heartbeat(self._file.manifest.agent_name)
        except CallFailed as failure:
            if failure.status != 404:
                raise
            self._say("the gateway no longer knows this provider: publishing again")
            self.publish()

    def _persist(self, call: Callable[[], None]) -> None:
        """Repeats a call until it succeeds, with growing waits so as not to flood a gateway that is back."""
        failures = 0
        while True:
            try:
                call()
            except CallFailed as failure:
                if not failure.passing:
                    raise
                failures += 1
                pause = max(failure.retry_after, backoff(failures))
                self._say(f"{failure}; trying again in {pause:.1f} s")
                self._wait(pause)
            else:
                if failures:
                    self._say("the gateway answers again")
                return


def backoff(failures: int) -> float:
    """Seconds to wait after this many failures in a row: doubles from 1 to 30, less up to half at random."""
    longest = min(MAX_BACKOFF_SECONDS, 2.0 ** min(failures - 1, 10))
    return longest * random.uniform(0.5, 1.0)  # noqa: S311 (spreads calls, not a secret)


def stop_on_signals() -> None:
    """Makes SIGTERM and SIGINT raise KeyboardInterrupt at once, even inside a call. Shells start background jobs
    with SIGINT ignored, so this sets it too."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
