"""Read the listing of everyone or of one user, within limits, cut fairly when there is more."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from itertools import islice

from gateway.providers.deployments import EVERYONE, Deployment, Listing
from gateway.providers.shares import share_out
from gateway.store.dynamodb import aws
from gateway.store.dynamodb.rows import Row, listed_deployments, names_in
from gateway.store.recent import Recent

# Limits of one audience's part of a listing. An owner has at most 20 providers, each with one row of under 1 KB, so
# this reads the rows of 500 owners with the max number of providers.
MAX_ROWS_READ = 10_000
# Bytes of the providers' listings, plus a weight per provider for reading its head: a thousand small ones fit.
MAX_WEIGHT_READ = 2_000_000
HEAD_WEIGHT = 1_500
MAX_DEPLOYMENTS = 2_000

Key = tuple[str, str]
Heads = Callable[[Iterable[Key], bool], dict[Key, Row]]


class Listings:
    """Listings from the table named `table`. Everyone's part is cached once for all users of the process."""

    def __init__(self, table: str, heads: Heads, recent: Recent[Listing]) -> None:
        self.table = table
        self._heads = heads
        self._recent = recent

    def listing(self, user_id: str) -> Listing:
        """The user's own providers, those that allow the user, and everyone's. Costs two queries and, per hundred
        providers, two batch reads: heads and listings. If not all fit, the user's own go first."""
        everyones = self._recent.get(EVERYONE, lambda: self._read(EVERYONE))
        # Most users have no providers of their own; cache that for as long as everyone's part.
        own = self._recent.get(user_id, lambda: self._read(user_id), keep_empty=bool(everyones))
        seen = {each.key for each in own.deployments}
        others = [each for each in everyones.deployments if each.key not in seen]
        return Listing([*own.deployments, *others], everyones.is_cut or own.is_cut)

    def _read(self, audience: str) -> Listing:
        listing, is_torn = self._read_once(audience, consistent=False)
        # If a manifest is replaced between two reads, rows and head have different versions. A second, consistent
        # read then sees the new rows.
        return self._read_once(audience, consistent=True)[0] if is_torn else listing

    def _read_once(self, audience: str, *, consistent: bool) -> tuple[Listing, bool]:
        """Read the listing, and whether it mixes two versions of a manifest."""
        rows = list(
            islice(aws.query(self.table, f"audience#{audience}", consistent=consistent), MAX_ROWS_READ + 1)
        )
        by_provider: dict[Key, list[tuple[str, Row]]] = {}
        for row in rows[:MAX_ROWS_READ]:
            owner, name, version = names_in(row)
            by_provider.setdefault((owner, name), []).append((version, row))
        # Prefer an owner's latest publications, because it is not known yet which providers are online.
        latest = sorted(by_provider, key=lambda key: by_provider[key][-1][0], reverse=True)
        chosen = share_out(
            _by_owner(latest),
            lambda key: HEAD_WEIGHT + max(row.get("bytes", 0) for _, row in by_provider[key]),
            MAX_WEIGHT_READ,
            first=audience,
        )
        heads = self._heads(chosen, consistent)
        current = {
            key: [row for version, row in by_provider[key] if version == head.get("version")]
            for key in chosen
            if (head := heads.get(key))
        }
        is_torn = not all(current.values())
        found = self._deployments(audience, current, heads, consistent=consistent)
        kept = share_out(found, lambda _: 1, MAX_DEPLOYMENTS, first=audience)
        is_cut = (
            len(rows) > MAX_ROWS_READ
            or len(chosen) < len(by_provider)
            or len(kept) < sum(map(len, found.values()))
        )
        return Listing(kept, is_cut), is_torn

    def _deployments(
        self, audience: str, current: dict[Key, list[Row]], heads: dict[Key, Row], *, consistent: bool
    ) -> dict[str, list[Deployment]]:
        """Read the deployments of the `current` rows, by owner, with each provider's `last_seen_at`."""
        wanted = [
            (f"listing#{owner}", f"{name}#{heads[owner, name]['version']}")
            for (owner, name), rows in current.items()
            if any("models" not in row for row in rows)
        ]
        listings = {
            (item["pk"], item["sk"]): item
            for item in aws.batch_get(self.table, wanted, consistent=consistent)
        }
        found: dict[str, list[Deployment]] = {}
        for (owner, name), rows in current.items():
            head = heads[owner, name]
            listing = listings.get((f"listing#{owner}", f"{name}#{head['version']}"))
            for row in rows:
                found.setdefault(owner, []).extend(
                    replace(each, last_seen_at=head["last_seen_at"])
                    for each in listed_deployments(row, listing, audience)
                )
        return found


def _by_owner(providers: Iterable[Key]) -> dict[str, list[Key]]:
    owners: dict[str, list[Key]] = {}
    for key in providers:
        owners.setdefault(key[0], []).append(key)
    return owners
