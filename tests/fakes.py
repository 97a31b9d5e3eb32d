"""Small hand-written stand-ins for the store and the provider client, for unit tests of the use cases."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from gateway.accounts.keys import Caller
from gateway.accounts.limits import Claim, Taken, Wait
from gateway.models import Model
from gateway.providers.deployments import Deployment, Listing
from gateway.providers.provider import MAX_PROVIDERS, Provider
from gateway.upstream.client import Answer, ProviderError
from gateway.usage.record import Attempt, Duration, Record

ALICE = Caller("alice", "key_alice")
BOB = Caller("bob", "key_bob")


def usage_record(request_id: str, *, user: str = "bob", started_at: float = 1_767_225_600.0) -> Record:
    """A 10-second request that alice's provider served, on 2026-01-01 unless said otherwise."""
    return Record(
        request_id,
        user,
        "key_1",
        started_at,
        model="m",
        provider="alice/home",
        duration=Duration(10.0, "measured"),
        http_status=200,
        attempts=(Attempt("alice/home", "ok", 1),),
    )


def deployment(
    name: str = "home", *, owner: str = "alice", features: Sequence[str] = (), **changes: Any
) -> Deployment:
    """A deployment of the model `m` that is online at second 0."""
    made = Deployment(
        owner=owner,
        provider=name,
        version="1",
        service="asr",
        base_url=f"https://{name}.example/v1",
        model=Model("m", "Served/M", tuple(features)),
        access="authenticated",
    )
    return replace(made, **changes)


def answer(body: Any, status: int = 200, retry_after: float | None = None) -> Answer:
    """An HTTP answer with a JSON body."""
    return Answer(status, json.dumps(body).encode(), retry_after)


@dataclass
class FakeClock:
    """Seconds that pass only when told to."""

    seconds: float = 1000.0

    def __call__(self) -> float:
        return self.seconds


@dataclass
class FakeProviderClient:
    """Answers by provider name; a value may be an Answer, a ProviderError, a list of them in turn, or a function
    of the request."""

    answers: dict[str, Any]
    requests: list[dict[str, Any]] = field(default_factory=list)

    def transcribe(self, base_url: str, **request: Any) -> Answer:
        name = base_url.removeprefix("https://").partition(".")[0]
        self.requests.append({"provider": name, **request})
        reply = self.answers[name]
        if isinstance(reply, list):
            reply = reply.pop(0)
        if callable(reply):
            reply = reply(request)
        if isinstance(reply, ProviderError):
            raise reply
        assert isinstance(reply, Answer)
        return reply

    @property
    def asked(self) -> list[str]:
        return [request["provider"] for request in self.requests]


@dataclass
class FakeCatalog:
    """Deployments by model, as the store would return them for any caller."""

    found: list[Deployment]

    def deployments(self, model: str, user_id: str) -> list[Deployment]:
        asked = model.strip().lower()
        return [
            each
            for each in self.found
            if asked in (each.model.slug, each.model.served_id.lower()) and each.allows(user_id)
        ]

    def listing(self, user_id: str) -> Listing:
        return Listing([each for each in self.found if each.allows(user_id)])

    def forget(self) -> None:
        pass


@dataclass
class FakeProviders:
    """Providers in memory, with the store's conditions: a change made from an outdated read is refused."""

    kept: dict[tuple[str, str], Provider] = field(default_factory=dict)
    publications: int = 0
    interfere: Callable[[], None] = lambda: None

    def provider(self, owner: str, name: str) -> Provider | None:
        return self.kept.get((owner, name))

    def owned(self, owner: str) -> list[Provider]:
        return [each for (whose, _), each in sorted(self.kept.items()) if whose == owner]

    def beat(self, owner: str, name: str, now: float, *, create: bool = False) -> bool:
        known = self.kept.get((owner, name))
        is_full = len(self.owned(owner)) >= MAX_PROVIDERS
        if known is None and (not create or is_full):
            return False
        self.kept[owner, name] = replace(known or Provider(owner, name), last_seen_at=now)
        return True

    def save_meta(self, provider: Provider) -> bool:
        known = self.kept[provider.owner, provider.name]
        if known.revision != provider.revision:
            return False
        self.kept[provider.owner, provider.name] = replace(
            known,
            public_url=provider.public_url,
            policies=provider.policies,
            errors=provider.errors,
            revision=known.revision + 1,
        )
        return True

    def publish(self, provider: Provider) -> bool:
        self.interfere()
        known = self.kept[provider.owner, provider.name]
        if known.version != provider.version:
            return False
        self.publications += 1
        self.kept[provider.owner, provider.name] = replace(
            known,
            version=str(self.publications),
            document=provider.document,
            credentials=provider.credentials,
            looping=provider.looping,
            uploaded_at=provider.uploaded_at,
            published_url=provider.public_url,
            published_policies=provider.policies,
        )
        return True

    def delete(self, owner: str, name: str) -> bool:
        return self.kept.pop((owner, name), None) is not None


@dataclass
class FakeLimits:
    """Counters in memory, with the store's conditions."""

    due: dict[tuple[str, str], float] = field(default_factory=dict)
    seconds: dict[tuple[str, int], int] = field(default_factory=dict)
    leases: dict[tuple[str, str], list[str]] = field(default_factory=dict)

    def take(self, claim: Claim, now: float) -> Taken:
        counter = claim.user_id, claim.counter
        held = self.leases.setdefault(counter, [])
        if claim.places and len(held) >= claim.places:
            return Taken("in_flight")
        due = max(self.due.get(counter, now), now)
        if claim.rate:
            if due + claim.rate.interval > now + claim.rate.burst:
                return Taken("rate", due)
            due = self.due[counter] = due + claim.rate.interval
        lease = f"lease-{len(held)}" if claim.places else None
        if lease:
            held.append(lease)
        return Taken(None, due, lease)

    def release(self, user_id: str, counter: str, lease: str) -> Wait:
        self.leases[user_id, counter].remove(lease)
        return lambda: None

    def reserve_seconds(self, user_id: str, day: int, seconds: int, quota: int) -> bool:
        taken = self.seconds.get((user_id, day), 0)
        if taken + seconds > quota or taken >= quota:
            return False
        self.seconds[user_id, day] = taken + seconds
        return True

    def add_seconds(self, user_id: str, day: int, seconds: int) -> Wait:
        self.seconds[user_id, day] = self.seconds.get((user_id, day), 0) + seconds
        return lambda: None
