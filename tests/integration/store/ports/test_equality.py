"""Random sequences of operations, played on both sets of adapters, must show the same."""

import random
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from gateway.accounts.keys import KeyRecord, Limits
from gateway.accounts.limits import Claim, Rate
from gateway.providers.deployments import Deployment
from gateway.providers.provider import AccessPolicy, Provider
from gateway.store.dynamodb import stores as dynamodb
from gateway.store.ports import Stores
from gateway.uploads import StoredPart, Upload
from gateway.usage.record import Attempt, Duration, Record
from gateway.usage.totals import Question
from server.sqlite.stores import open_stores
from tests.integration.store.ports.conftest import count_stored
from tests.integration.store.published import document, service

USERS = ("ann", "ben", "cid")
NAMES = ("home", "work")
MODELS = ("M", "Org/Model", "n")
START = 1_767_225_600
OPERATIONS = 120


@pytest.fixture
def both(in_process_aws: object, tmp_path: Path) -> Iterator[tuple[Stores, Stores]]:
    opened = open_stores(tmp_path / "data")
    yield dynamodb, opened
    opened.close()


class Play:
    """Plays the same random operations on two stores, and compares what each call returns."""

    def __init__(self, seed: int, both: tuple[Stores, Stores]) -> None:
        self.luck = random.Random(seed)
        self.both = both
        self.now = float(START)
        self.keys: list[tuple[str, KeyRecord]] = []
        # What was read of each provider at some time, from both stores.
        self.reads: list[tuple[Provider, Provider]] = []
        self.uploads: list[Upload] = []
        self.leases: list[tuple[str, tuple[str, str]]] = []
        self.records = 0

    def same(self, call: Callable[[Stores], Any], shown: Callable[[Any], Any] = lambda value: value) -> Any:
        """Make a call on both stores. Returns what the first returned; `shown` is what must be equal."""
        first, second = (call(each) for each in self.both)
        assert shown(first) == shown(second)
        return first

    def pair(self, call: Callable[[Stores], Any]) -> tuple[Any, Any]:
        first, second = (call(each) for each in self.both)
        return first, second

    # --- keys

    def create_key(self) -> None:
        number = self.luck.randrange(12)
        user, value = USERS[number % 3], f"sk-{number:032d}"
        expires_at = self.luck.choice((None, int(self.now) + 50))
        _, record = self.same(
            lambda stores: stores.keys().create(
                user, name=f"n{value[-2:]}", expires_at=expires_at, key=value
            ),
            lambda made: (made[0], without_times(made[1])),
        )
        self.keys.append((value, record))

    def revoke_key(self) -> None:
        key_id = self.luck.choice(self.keys)[1].key_id if self.keys else "key_none"
        self.same(lambda stores: stores.keys().revoke(key_id), without_times)

    def set_user(self) -> None:
        limits = Limits(*(self.luck.choice((None, 1, 60)) for _ in range(3)))
        user, preference = self.luck.choice(USERS), self.luck.choice(("any", "only_own"))
        self.same(lambda stores: stores.keys().set_user(user, preference, limits))

    # --- providers

    def beat(self) -> None:
        owner, name, create = self.luck.choice(USERS), self.luck.choice(NAMES), self.luck.random() < 0.6
        self.same(lambda stores: stores.providers().beat(owner, name, self.now, create=create))

    def read_provider(self) -> None:
        owner, name = self.luck.choice(USERS), self.luck.choice(NAMES)
        first, second = self.pair(lambda stores: stores.providers().provider(owner, name))
        assert shown_provider(first) == shown_provider(second)
        if first:
            self.reads.append((first, second))

    def publish(self) -> None:
        """Publish from the last read, or from an outdated one."""
        if not self.reads:
            return self.read_provider()
        read = self.luck.choice(self.reads[-3:])
        public_url = self.luck.choice((None, "https://box.example/v1/"))
        policies = self.luck.choice(({}, {"s0": AccessPolicy("restricted", ("ben",))}))
        manifest = document(*(self.service(number) for number in range(self.luck.randrange(4))))
        results = [
            each.providers().publish(
                replace(
                    provider,
                    document=manifest,
                    uploaded_at=int(self.now),
                    policies=policies,
                    public_url=public_url,
                    credentials={"s0": b"\x00\x01", "other": b"\x02"},
                    looping=("s3",),
                )
            )
            for each, provider in zip(self.both, read, strict=True)
        ]
        assert results[0] == results[1]
        return None

    def service(self, number: int) -> dict[str, Any]:
        return service(
            f"s{number}",
            self.luck.sample(MODELS, self.luck.randrange(1, 4)),
            type=self.luck.choice(("stt", "stt", "llm")),
            access=self.luck.choice(("private", "authenticated", "restricted")),
            allowed_users=self.luck.sample(USERS, self.luck.randrange(3)),
            features=self.luck.sample(("timestamps", "diarization"), self.luck.randrange(3)),
        )

    def save_meta(self) -> None:
        if not self.reads:
            return self.read_provider()
        read = self.luck.choice(self.reads[-3:])
        policies = {"s1": AccessPolicy(self.luck.choice((None, "authenticated")), None)}
        errors = tuple(self.luck.sample(("a: is required", "b: is required"), self.luck.randrange(3)))
        results = [
            each.providers().save_meta(
                replace(provider, public_url="https://meta.example", policies=policies, errors=errors)
            )
            for each, provider in zip(self.both, read, strict=True)
        ]
        assert results[0] == results[1]
        return None

    def delete_provider(self) -> None:
        owner, name = self.luck.choice(USERS), self.luck.choice(NAMES)
        self.same(lambda stores: stores.providers().delete(owner, name))
        # A read from before must not be saved: DynamoDB would write what lies outside the manifest all the same.
        self.reads = [each for each in self.reads if (each[0].owner, each[0].name) != (owner, name)]

    # --- limits

    def take(self) -> None:
        user, counter = self.luck.choice(USERS), self.luck.choice(("requests", "changes"))
        # Numbers that both stores add without rounding.
        rate = self.luck.choice((None, Rate(20.0, 60.0), Rate(0.5, 60.0)))
        claim = Claim(user, counter, rate, self.luck.choice((0, 2, 3)), 30.0)
        first, second = self.pair(lambda stores: stores.limits().take(claim, self.now))
        assert (first.refused, first.due, first.lease is None) == (
            second.refused,
            second.due,
            second.lease is None,
        )
        if first.lease:
            self.leases.append((user, (first.lease, second.lease)))

    def release(self) -> None:
        if self.leases:
            user, leases = self.leases.pop(self.luck.randrange(len(self.leases)))
            for counter in ("requests", "changes"):
                for each, lease in zip(self.both, leases, strict=True):
                    each.limits().release(user, counter, lease)()

    def reserve(self) -> None:
        user, seconds = self.luck.choice(USERS), self.luck.randrange(8)
        self.same(lambda stores: stores.limits().reserve_seconds(user, 7, seconds, 20))

    def give_back(self) -> None:
        user, seconds = self.luck.choice(USERS), self.luck.randrange(-6, 4)
        for each in self.both:
            each.limits().add_seconds(user, 7, seconds)()

    # --- usage

    def save(self) -> None:
        self.records += self.luck.random() < 0.8  # else the last id again
        tried = tuple(
            Attempt(f"{owner}/home", "ok", 5) for owner in self.luck.sample(USERS, self.luck.randrange(4))
        )
        failed = not tried or self.luck.random() < 0.3
        made = Record(
            f"r{self.records}",
            USERS[self.records % 3],
            "key_1",
            START + self.records * 20_000.0,
            model=self.luck.choice((None, "m", "n")),
            provider=None if failed else tried[-1].provider,
            duration=Duration(self.luck.choice((None, 0.4, 12.0)), "measured"),
            http_status=502 if failed else 200,
            error_type="upstream_error" if failed else None,
            attempts=tried,
        )
        for each in self.both:
            each.usage().save(made)
        count_stored(made.user_id)

    # --- uploads

    def open_upload(self) -> None:
        number = len(self.uploads)
        made = Upload(
            f"upload_{number:032x}",
            self.luck.choice(USERS),
            self.luck.choice((3, 6)),
            "a.wav",
            "audio/wav",
            "user_data",
            int(self.now),
            int(self.now) + self.luck.choice((20, 200)),
        )
        if self.same(lambda stores: stores.uploads().open(made, 2, self.now)) is None:
            self.uploads.append(made)

    def add_part(self) -> None:
        if not self.uploads:
            return
        made, part_id = self.luck.choice(self.uploads), f"part_{self.luck.randrange(3)}"
        for each in self.both:
            each.uploads().write_part(made, part_id, memoryview(b"abc"))
        part = StoredPart(3, int(self.now))
        self.same(lambda stores: stores.uploads().note_part(made, part_id, part, 2))

    def end_upload(self) -> None:
        if not self.uploads:
            return
        made = self.luck.choice(self.uploads)
        read = self.same(lambda stores: stores.uploads().upload(made.user_id, made.id))
        if self.luck.random() < 0.3:
            self.same(lambda stores: stores.uploads().cancel(read))
            return
        outdated = self.luck.choice((made, read))
        self.same(lambda stores: stores.uploads().complete(outdated, list(read.parts), None, int(self.now)))

    # --- all

    def wait(self) -> None:
        self.now += self.luck.choice((0.5, 7, 31, 100))

    def step(self) -> None:
        self.luck.choice(
            (
                *(self.create_key, self.revoke_key, self.set_user),
                *(self.beat, self.beat, self.read_provider, self.read_provider, self.publish, self.publish),
                *(self.save_meta, self.delete_provider),
                *(self.take, self.take, self.take, self.release, self.reserve, self.give_back),
                *(self.save, self.save, self.open_upload, self.add_part, self.add_part, self.end_upload),
                self.wait,
            )
        )()

    def compare(self) -> None:
        """Compare everything that can be observed."""
        for each in self.both:
            each.catalog().forget()
        for key, _ in self.keys:
            self.compare_key(key)
        for user in USERS:
            self.compare_user(user)
            for model in ("m", "ORG/model", "n", "none"):
                self.compare_model(model, user)
            for as_operator in (False, True):
                for start, end in (("2026-01-01", "2026-12-31"), ("2026-01-02", "2026-01-04")):
                    self.compare_totals(user, Question(start, end, "day", as_operator))
        for made in self.uploads:
            self.compare_upload(made)

    def compare_key(self, key: str) -> None:
        self.same(lambda stores: stores.keys().identify(key, 0))
        self.same(lambda stores: stores.keys().identify(key, self.now))
        self.same(lambda stores: stores.keys().knows(key))

    def compare_user(self, user: str) -> None:
        self.same(lambda stores: stores.keys().user(user))
        self.same(
            lambda stores: stores.keys().list(user),
            lambda found: {each.key_id: without_times(each) for each in found},
        )
        self.same(
            lambda stores: stores.providers().owned(user), lambda found: list(map(shown_provider, found))
        )
        self.same(
            lambda stores: stores.catalog().listing(user),
            lambda listing: (listing.is_cut, shown_deployments(listing.deployments)),
        )

    def compare_model(self, model: str, user: str) -> None:
        self.same(lambda stores: stores.catalog().deployments(model, user), shown_deployments)

    def compare_totals(self, user: str, question: Question) -> None:
        self.same(
            lambda stores: stores.totals().read(user, question), lambda totals: sorted(map(repr, totals))
        )

    def compare_upload(self, made: Upload) -> None:
        read = self.same(lambda stores: stores.uploads().upload(made.user_id, made.id))
        if read.parts:
            self.same(lambda stores: stores.uploads().read(read, list(read.parts)))


def without_times(record: KeyRecord | None) -> object:
    """A key's record, with whether it was revoked instead of the clock's times."""
    return record and replace(record, created_at=0, revoked_at=record.revoked_at and 1)


def shown_provider(provider: Provider | None) -> object:
    """A provider, with whether it has a version instead of the version, which is random."""
    return provider and replace(provider, version=provider.version and "v")


def shown_deployments(deployments: list[Deployment]) -> list[str]:
    """Deployments in an order of their own: a lookup draws, and a listing takes owners in turns."""
    shown = []
    for each in deployments:
        features = tuple(sorted(each.model.features))
        shown.append(repr(asdict(replace(each, version="v", model=replace(each.model, features=features)))))
    return sorted(shown)


@pytest.mark.parametrize("seed", range(6))
def test_random_operations_show_the_same_on_both(both: tuple[Stores, Stores], seed: int) -> None:
    play = Play(seed, both)
    for _ in range(2):
        for _ in range(OPERATIONS // 2):
            play.step()
        play.compare()
