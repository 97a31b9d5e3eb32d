"""Look up the deployments of a model, and listings, in one state of the database."""

from collections.abc import Iterable
from typing import TypeVar

from gateway.models import Model, slug_of
from gateway.providers.deployments import EVERYONE, Deployment, Listing
from gateway.providers.shares import share_out
from gateway.store.recent import Recent, deployments_bytes
from gateway.transcription import routing
from server.sqlite.database import Database, Row

Item = TypeVar("Item")

MAX_CANDIDATES = 100
# Max rows of a model to read. Every provider's first row comes before any second. First rows are read up to this
# number (200 owners with 20 providers each), later rows only while the total is below a thousand.
MAX_FIRST_ROWS = 4_000
MAX_ROWS = 1_000
# Limits of one audience's part of a listing: providers whose names are read, bytes of what they list, with a weight
# per provider, and deployments.
MAX_PROVIDERS_READ = 10_000
MAX_WEIGHT_READ = 2_000_000
PROVIDER_WEIGHT = 1_500
MAX_DEPLOYMENTS = 2_000
# How long a lookup is kept, and the bytes of all that are.
REMEMBERED_SECONDS = 1.0
MAX_REMEMBERED = 16_000_000

_FOUND = """
SELECT n.rank, p.owner, p.name, p.version, s.name, s.base_url, s.access, c.ciphertext, p.last_seen_at, p.uploaded_at,
       m.slug, m.served_id, m.features, m.context_length, m.display_name, s.names_users
FROM model_names n
JOIN models m ON m.id = n.model
JOIN services s ON s.id = m.service
JOIN providers p ON p.id = s.provider
LEFT JOIN credentials c ON c.provider = s.provider AND c.service = s.name
WHERE n.name = ? AND EXISTS (SELECT 1 FROM audiences a WHERE a.service = s.id AND a.audience IN ('*', ?))
ORDER BY n.rank LIMIT ?
"""
_LISTING_PROVIDERS = """
SELECT p.owner, p.id, p.listing_bytes FROM audiences a
JOIN services s ON s.id = a.service JOIN providers p ON p.id = s.provider
WHERE a.audience = ? GROUP BY p.id ORDER BY p.version DESC LIMIT ?
"""
_LISTED = """
SELECT 0, p.owner, p.name, p.version, s.name, s.base_url, s.access, NULL, p.last_seen_at, p.uploaded_at,
       m.slug, m.served_id, m.features, m.context_length, m.display_name, ?2 NOT IN ('*', p.owner)
FROM services s JOIN providers p ON p.id = s.provider JOIN models m ON m.service = s.id
WHERE s.provider = ?1 AND EXISTS (SELECT 1 FROM audiences a WHERE a.service = s.id AND a.audience = ?2)
ORDER BY s.id, m.id
"""


class CatalogStore:
    """Deployments in the main database. Lookups of a model are cached for a second: a query takes as long as all other
    reads of a transcription together. `forget` makes this process's own changes visible at once."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._recent: Recent[list[Deployment]] = Recent(
            deployments_bytes, budget=MAX_REMEMBERED, seconds=REMEMBERED_SECONDS
        )

    def forget(self) -> None:
        """Drop cached lookups."""
        self._recent.clear()

    def deployments(self, model: str, user_id: str) -> list[Deployment]:
        """Deployments of `model` (slug or served id) that the user may use, online or not; a hundred drawn at random
        when there are more."""
        # A caller can send a lone surrogate, which no stored name has.
        slug = slug_of(model).encode("utf-8", "replace").decode()
        return self._recent.get((slug, user_id), lambda: self._read(slug, user_id))

    def _read(self, slug: str, user_id: str) -> list[Deployment]:
        rows = self._database.rows(_FOUND, (slug, user_id, MAX_FIRST_ROWS))
        found = [
            _deployment(row, user_id) for number, row in enumerate(rows) if not row[0] or number < MAX_ROWS
        ]
        return routing.draw(found, MAX_CANDIDATES, user_id)

    def listing(self, user_id: str) -> Listing:
        """The user's own providers, those that allow the user, and everyone's. If not all fit, the user's own go
        first, and owners share the rest."""
        with self._database.snapshot():
            everyones = self._part(EVERYONE)
            own = self._part(user_id)
        seen = {each.key for each in own.deployments}
        others = [each for each in everyones.deployments if each.key not in seen]
        return Listing([*own.deployments, *others], everyones.is_cut or own.is_cut)

    def _part(self, audience: str) -> Listing:
        """What one audience sees."""
        rows = self._database.rows(_LISTING_PROVIDERS, (audience, MAX_PROVIDERS_READ + 1))
        # Prefer an owner's latest publications, because it is not known yet which providers are online.
        chosen = share_out(
            _by_owner((owner, (provider, size)) for owner, provider, size in rows[:MAX_PROVIDERS_READ]),
            lambda provider: PROVIDER_WEIGHT + provider[1],
            MAX_WEIGHT_READ,
            first=audience,
        )
        found = _by_owner(
            (each.owner, each) for provider, _ in chosen for each in self._deployments_of(provider, audience)
        )
        kept = share_out(found, lambda _: 1, MAX_DEPLOYMENTS, first=audience)
        return Listing(kept, len(chosen) < len(rows) or len(kept) < sum(map(len, found.values())))

    def _deployments_of(self, provider: int, audience: str) -> list[Deployment]:
        return [_deployment(row, audience) for row in self._database.rows(_LISTED, (provider, audience))]


def _deployment(row: Row, user_id: str) -> Deployment:
    _, owner, provider, version, service, base_url, access, credential, last_seen_at, uploaded_at, *rest = row
    slug, served_id, features, context_length, display_name, names_users = rest
    return Deployment(
        owner=owner,
        provider=provider,
        version=version,
        service=service,
        base_url=base_url,
        model=Model(
            slug, served_id, tuple(features.split("\n")) if features else (), context_length, display_name
        ),
        access=access,
        # Of the allowed users, nobody needs more than this one.
        allowed_users=(user_id,) if names_users else (),
        credential=credential,
        last_seen_at=last_seen_at,
        published_at=uploaded_at or 0,
    )


def _by_owner(items: Iterable[tuple[str, Item]]) -> dict[str, list[Item]]:
    owners: dict[str, list[Item]] = {}
    for owner, item in items:
        owners.setdefault(owner, []).append(item)
    return owners
