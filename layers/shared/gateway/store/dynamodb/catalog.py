"""What callers may reach: deployments of a model, and listings, with their providers' liveness."""

import os
import sys
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import cache

from gateway.providers.deployments import Deployment, Listing
from gateway.slugs import slug_of
from gateway.store.dynamodb import aws
from gateway.store.dynamodb.listings import Listings
from gateway.store.dynamodb.recent import Recent
from gateway.store.dynamodb.rows import Row, deployment_of
from gateway.transcription import routing

MAX_CANDIDATES = 100
# Rows of a model that are read to draw from. The first of every provider come first, the second next: all of the
# first are read (of 20 times as many providers as there are owners), and of the rest as many as make a thousand.
MAX_FIRST_ROWS = 4_000
MAX_ROWS = 1_000
# And as many as weigh so many bytes: a row has up to 14 KB, and a partition gives 24 MB a second to all who ask.
MAX_LATER_BYTES = 1_500_000
# Bytes of deployments that a process remembers, and those of one without its texts.
_OBJECTS_BYTES = 600
MAX_REMEMBERED = 32_000_000
# DynamoDB refuses partition keys over 2,048 bytes; no real model id comes near.
_MAX_MODEL_BYTES = 1024


class CatalogStore:
    """Deployments in the table named `table`; lookups that found something are remembered a few seconds."""

    def __init__(self, table: str) -> None:
        self.table = table
        self._recent: Recent[list[Deployment]] = Recent(_size_of, budget=MAX_REMEMBERED // 2)
        self._recent_listings: Recent[Listing] = Recent(
            lambda listing: _size_of(listing.deployments), budget=MAX_REMEMBERED // 2
        )
        self._listings = Listings(
            table, lambda keys, consistent: self._heads(keys, consistent=consistent), self._recent_listings
        )

    def forget(self) -> None:
        """Drop remembered lookups (after a restore from a snapshot)."""
        self._recent.clear()
        self._recent_listings.clear()

    def deployments(self, model: str, user_id: str) -> list[Deployment]:
        """Deployments of `model` (slug or served id) that the user may use, online or not: one query and one
        batch read of at most a hundred candidates, a random hundred when there are more."""
        slug = slug_of(model)
        if not slug or len(slug.encode("utf-8", "replace")) > _MAX_MODEL_BYTES:
            return []
        return self._recent.get((slug, user_id), lambda: self._read(user_id, f"model#{slug}", MAX_CANDIDATES))

    def listing(self, user_id: str) -> Listing:
        """The deployments that the user may use, online or not, as far as listings reach."""
        return self._listings.listing(user_id)

    def _read(self, user_id: str, partition: str, most: int | None) -> list[Deployment]:
        found: list[Deployment] = []
        # A manifest that is replaced between the two reads leaves rows of one version and a head of the next;
        # the second round, consistent, then sees the new rows.
        for consistent in (False, True):
            rows = [
                # Whom it was found for is all that is remembered of the list.
                replace(deployment, allowed_users=(user_id,) if deployment.allowed_users else ())
                for row in _first_of(aws.query(self.table, partition, consistent=consistent))
                for deployment in deployment_of(row)
                if deployment.allows(user_id)
            ]
            if most is not None:
                rows = routing.draw(rows, most, user_id)
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
    """As many rows of a model as are read, page by page."""
    left = MAX_LATER_BYTES
    for number, row in enumerate(rows):
        is_first = row["sk"].startswith("0000#")
        left -= 0 if is_first else len(str(row).encode("utf-8", "replace"))
        if left < 0 or number >= (MAX_FIRST_ROWS if is_first else MAX_ROWS):
            return
        yield row


def _size_of(deployments: Iterable[Deployment]) -> int:
    """Bytes in memory, as if no two deployments shared anything."""
    return sum(
        _OBJECTS_BYTES
        + sum(
            map(
                sys.getsizeof,
                (
                    *(each.owner, each.provider, each.version, each.service, each.base_url, each.credential),
                    *(each.model.slug, each.model.served_id, each.model.display_name),
                    *each.model.features,
                    *each.allowed_users,
                ),
            )
        )
        for each in deployments
    )


def _is_torn(rows: list[Deployment], found: list[Deployment], heads: dict[tuple[str, str], Row]) -> bool:
    """Whether a provider has rows, but none of the version that its head names: one of the two was read too early."""
    complete = {row.provider_key for row in found}
    return any(row.provider_key not in complete and row.provider_key in heads for row in rows)


@cache
def catalog_store() -> CatalogStore:
    """The store on the table that PROVIDERS_TABLE names."""
    return CatalogStore(os.environ["PROVIDERS_TABLE"])
