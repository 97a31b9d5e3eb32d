"""What callers may reach: deployments of a model, and listings, with their providers' liveness."""

import os
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import cache

from gateway import routing
from gateway.deployments import EVERYONE, Deployment, slug_of
from gateway.store import aws
from gateway.store.recent import Recent
from gateway.store.rows import Row, deployment_of, service_deployments_of

MOST_CANDIDATES = 100
# DynamoDB refuses partition keys over 2,048 bytes; no real model id comes near.
_MOST_MODEL_BYTES = 1024


class CatalogStore:
    """Deployments in the table named `table`; lookups that found something are remembered a few seconds."""

    def __init__(self, table: str) -> None:
        self.table = table
        self._recent: Recent[list[Deployment]] = Recent()

    def forget(self) -> None:
        """Drop remembered lookups (after a restore from a snapshot)."""
        self._recent.clear()

    def deployments(self, model: str, user_id: str) -> list[Deployment]:
        """Deployments of `model` (slug or served id) that the user may use, online or not: one query and one
        batch read of at most a hundred candidates, a random hundred when there are more."""
        slug = slug_of(model)
        if not slug or len(slug.encode("utf-8", "replace")) > _MOST_MODEL_BYTES:
            return []
        return self._recent.get(
            ("model", slug, user_id),
            lambda: self._read(user_id, [f"model#{slug}"], deployment_of, MOST_CANDIDATES),
        )

    def listing(self, user_id: str) -> list[Deployment]:
        """Every deployment that the user may use, online or not, by two queries and a batch read a hundred
        providers."""
        partitions = [f"audience#{EVERYONE}", f"audience#{user_id}"]
        return self._recent.get(
            ("listing", user_id), lambda: self._read(user_id, partitions, service_deployments_of, None)
        )

    def _read(
        self,
        user_id: str,
        partitions: list[str],
        to_deployments: Callable[[Row], Iterable[Deployment]],
        most: int | None,
    ) -> list[Deployment]:
        found: list[Deployment] = []
        # A manifest that is replaced between the two reads leaves rows of one version and a head of the next;
        # the second round, consistent, then sees the new rows.
        for consistent in (False, True):
            rows = [
                deployment
                for partition in partitions
                for row in aws.query(self.table, partition, consistent=consistent)
                for deployment in to_deployments(row)
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

    def _heads(self, providers: set[tuple[str, str]], *, consistent: bool) -> dict[tuple[str, str], Row]:
        keys = [(f"owner#{owner}", f"head#{name}") for owner, name in providers]
        return {
            (item["pk"].removeprefix("owner#"), item["sk"].removeprefix("head#")): item
            for item in aws.batch_get(self.table, keys, consistent=consistent)
        }


def _is_torn(rows: list[Deployment], found: list[Deployment], heads: dict[tuple[str, str], Row]) -> bool:
    """Whether a provider has rows, but none of the version that its head names: one of the two was read too early."""
    complete = {row.provider_key for row in found}
    return any(row.provider_key not in complete and row.provider_key in heads for row in rows)


@cache
def catalog_store() -> CatalogStore:
    """The store on the table that PROVIDERS_TABLE names."""
    return CatalogStore(os.environ["PROVIDERS_TABLE"])
