"""Look up the deployments of a model, and listings, with their providers' last heartbeat."""

import os
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import cache

from gateway.models import slug_of
from gateway.providers.deployments import Deployment, Listing
from gateway.store.dynamodb import aws
from gateway.store.dynamodb.listings import Listings
from gateway.store.dynamodb.rows import Row, deployment_of
from gateway.store.recent import Recent, deployments_bytes
from gateway.transcription import routing

MAX_CANDIDATES = 100
# Max rows of a model to read. Every provider's first row sorts before any second. First rows are read up to this
# number (200 owners with 20 providers each), later rows only while the total is below a thousand.
MAX_FIRST_ROWS = 4_000
MAX_ROWS = 1_000
# Max bytes of later rows: a row has up to 14 KB, and a partition delivers 24 MB/s to all readers together.
MAX_LATER_BYTES = 1_500_000
# Max bytes of deployments that a process caches.
MAX_REMEMBERED = 32_000_000
# DynamoDB refuses partition keys over 2,048 bytes. Real model ids are far shorter.
_MAX_MODEL_BYTES = 1024


class CatalogStore:
    """Deployments in the table named `table`. Lookups that find something are cached for a few seconds."""

    def __init__(self, table: str) -> None:
        self.table = table
        self._recent: Recent[list[Deployment]] = Recent(deployments_bytes, budget=MAX_REMEMBERED // 2)
        self._recent_listings: Recent[Listing] = Recent(
            lambda listing: deployments_bytes(listing.deployments), budget=MAX_REMEMBERED // 2
        )
        self._listings = Listings(
            table, lambda keys, consistent: self._heads(keys, consistent=consistent), self._recent_listings
        )

    def forget(self) -> None:
        """Drop cached lookups (after a restore from a snapshot)."""
        self._recent.clear()
        self._recent_listings.clear()

    def deployments(self, model: str, user_id: str) -> list[Deployment]:
        """Deployments of `model` (slug or served id) that the user may use, online or not. Costs one query and one
        batch read of at most a hundred candidates, drawn at random when there are more."""
        slug = slug_of(model)
        if not slug or len(slug.encode("utf-8", "replace")) > _MAX_MODEL_BYTES:
            return []
        return self._recent.get((slug, user_id), lambda: self._read(user_id, f"model#{slug}"))

    def listing(self, user_id: str) -> Listing:
        """The deployments that the user may use, online or not, within the limits of listings."""
        return self._listings.listing(user_id)

    def _read(self, user_id: str, partition: str) -> list[Deployment]:
        found: list[Deployment] = []
        # If a manifest is replaced between two reads, rows and head have different versions. A second, consistent
        # read then sees the new rows.
        for consistent in (False, True):
            rows = [
                # Cache only this user of the allowed users.
                replace(deployment, allowed_users=(user_id,) if deployment.allowed_users else ())
                for row in _first_of(aws.query(self.table, partition, consistent=consistent))
                for deployment in deployment_of(row)
                if deployment.allows(user_id)
            ]
            rows = routing.draw(rows, MAX_CANDIDATES, user_id)
            heads = self._heads({row.provider_key for row in rows}, consistent=consistent)
            found = [
                replace(row, last_seen_at=head["last_seen_at"])
                for row in rows
                if (head := heads.get(row.provider_key)) and head.get("version") == row.version
            ]
            if not _is_torn(rows, found, heads):
                break
        return found

    def _heads(self, providers: Iterable[tuple[str, str]], *, consistent: bool) -> dict[tuple[str, str], Row]:
        keys = [(f"owner#{owner}", f"head#{name}") for owner, name in providers]
        return {
            (item["pk"].removeprefix("owner#"), item["sk"].removeprefix("head#")): item
            for item in aws.batch_get(self.table, keys, consistent=consistent)
        }


def _first_of(rows: Iterator[Row]) -> Iterator[Row]:
    """Yield a model's rows up to the limits, page by page."""
    left = MAX_LATER_BYTES
    for number, row in enumerate(rows):
        is_first = row["sk"].startswith("0000#")
        left -= 0 if is_first else len(str(row).encode("utf-8", "replace"))
        if left < 0 or number >= (MAX_FIRST_ROWS if is_first else MAX_ROWS):
            return
        yield row


def _is_torn(rows: list[Deployment], found: list[Deployment], heads: dict[tuple[str, str], Row]) -> bool:
    """Whether a provider has rows, but none of its head's version, because the manifest changed between the reads."""
    complete = {row.provider_key for row in found}
    return any(row.provider_key not in complete and row.provider_key in heads for row in rows)


@cache
def catalog_store() -> CatalogStore:
    """The store of the table in PROVIDERS_TABLE."""
    return CatalogStore(os.environ["PROVIDERS_TABLE"])
