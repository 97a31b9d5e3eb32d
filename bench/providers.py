"""What many providers cost: `python -m bench.providers` counts writes, reads and heat of the providers table.

A simulation over the store's real items: sizes are those of the rows that it writes, capacity is DynamoDB's rule
(a write unit a KiB, half a read unit for 4 KiB read eventually), and heat is the busiest second of a partition.
"""

import argparse
import json
import math
import random
from collections import Counter
from dataclasses import dataclass

from gateway.models import Model
from gateway.providers.deployments import Deployment
from gateway.store.dynamodb.listings import HEAD_WEIGHT, MAX_WEIGHT_READ
from gateway.store.dynamodb.rows import Row, listing_of, rows_of
from gateway.store.recent import SECONDS

WRITE_USD_PER_MILLION = 0.625
READ_USD_PER_MILLION = 0.125
PARTITION_WRITES, PARTITION_READS = 1000, 3000
BEAT_SECONDS = 30
DAY_SECONDS = 86_400


@dataclass(frozen=True)
class Fleet:
    """A number of providers. A few owners have many (Zipf), and a few models are popular."""

    providers: int
    owners: int
    models: int

    def deployments(self, chance: random.Random) -> list[Deployment]:
        """One service with one model per provider; half are open to everyone."""
        owners = [f"user-{n:05d}" for n in _zipf(chance, self.owners, self.providers)]
        models = [f"org/model-{n:04d}" for n in _zipf(chance, self.models, self.providers)]
        return [
            Deployment(
                owner,
                f"box-{number:05d}",
                "17953489157701234abcdef",
                "asr",
                f"https://box-{number:05d}.example.com/v1",
                Model(model, model, ("timestamps",)),
                access=chance.choice(("private", "authenticated")),
                published_at=1_795_348_915,
            )
            for number, (owner, model) in enumerate(zip(owners, models, strict=True))
        ]


def _zipf(chance: random.Random, kinds: int, count: int) -> list[int]:
    return chance.choices(range(kinds), [1 / (rank + 1) for rank in range(kinds)], k=count)


def size_of(row: Row) -> int:
    """Approximate bytes of an item: DynamoDB counts names and values."""
    return len(json.dumps(row, default=list).encode())


def head_of(deployment: Deployment) -> Row:
    """What a heartbeat writes."""
    return {
        "pk": f"owner#{deployment.owner}",
        "sk": f"head#{deployment.provider}",
        "last_seen_at": deployment.published_at,
        "version": deployment.version,
    }


def heartbeats(deployments: list[Deployment], chance: random.Random) -> None:
    """Print a day's write units, their price, and the busiest second of the busiest partition."""
    units = sum(math.ceil(size_of(head_of(each)) / 1024) for each in deployments)
    phases = Counter((head_of(each)["pk"], chance.randrange(BEAT_SECONDS)) for each in deployments)
    together = Counter(head_of(each)["pk"] for each in deployments)
    daily = units * DAY_SECONDS / BEAT_SECONDS
    print(
        f"  heartbeats      {units / BEAT_SECONDS:7.0f} WCU/s, {daily * WRITE_USD_PER_MILLION / 1e6:.2f} USD a day"
    )
    print(f"    largest head  {max(size_of(head_of(each)) for each in deployments):7d} bytes")
    print(
        f"    hottest owner {max(phases.values()):7d} WCU in its busiest second of {PARTITION_WRITES} a partition has"
    )
    print(
        f"    all at once   {max(together.values()):7d} WCU if all boxes of one owner beat in the same second"
    )


def lookups(deployments: list[Deployment]) -> None:
    """Print the read units of one cold lookup of the most popular model, and a partition's capacity."""
    partitions: Counter[str] = Counter()
    listed: Counter[str] = Counter()
    for each in deployments:
        for row in rows_of([each]):
            (listed if row["pk"].startswith("audience#") else partitions)[row["pk"]] += size_of(row)
    model, held = partitions.most_common(1)[0]
    rows = sum(1 for each in deployments if f"model#{each.model.slug}" == model)
    query, heads = math.ceil(held / 4096) / 2, min(rows, 100) / 2
    print(f"  busiest model   {rows:7d} deployments: {query:.1f} + {heads:.1f} RCU a cold lookup")
    bears = PARTITION_READS / query
    print(
        f"    a partition bears {bears:5.0f} cold lookups a second; a warm process makes one in {SECONDS:g} s"
    )
    everyone = listed["audience#*"]
    units = math.ceil(everyone / 4096) / 2
    bears = PARTITION_READS / units
    print(f"  everyone's list {everyone / 1e6:7.2f} MB: {units:.0f} RCU a cold listing, {bears:.0f} a second")
    opened = [each for each in deployments if each.access == "authenticated"]
    weights = [HEAD_WEIGHT + size_of(listing_of([each]) or {}) for each in opened]
    kept = min(len(opened), MAX_WEIGHT_READ * len(weights) // sum(weights))
    print(
        f"    shows       {kept:9d} of {len(opened)} providers, with as many RCU in their owners' partitions"
    )


def main() -> None:
    """Prints a table for 100, 1,000 and 10,000 providers."""
    parser = argparse.ArgumentParser(prog="bench.providers", description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    seed = parser.parse_args().seed
    for count in (100, 1_000, 10_000):
        chance = random.Random(seed)
        deployments = Fleet(count, max(10, count // 4), max(10, count // 20)).deployments(chance)
        print(f"{count} providers")
        heartbeats(deployments, chance)
        lookups(deployments)


if __name__ == "__main__":
    main()
