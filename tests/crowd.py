"""A thousand hostile providers, fifty owners with twenty each, written as the store would write them."""

from collections.abc import Iterable, Iterator
from dataclasses import replace

from gateway.models import Model
from gateway.providers.deployments import Deployment
from gateway.store.dynamodb.providers import ProviderStore
from gateway.store.dynamodb.rows import Row, listing_of, rows_of

OWNERS, PROVIDERS = 50, 20
# At the bounds: 64 KiB of manifest are about a hundred models like these in one service.
MODELS = 100


def hostile(owner: str, name: str, *, audience: str = "*") -> list[Deployment]:
    """Models under long ids of their own with long names, and the service with 16 long features."""
    features = tuple(f"{number:02d}{'f' * 62}" for number in range(16))
    return [
        Deployment(
            owner=owner,
            provider=name,
            version="00000000000000001abcdef",
            service="asr",
            base_url=f"https://{name}.example/v1",
            model=Model(
                f"{owner}/{name}-{number:03d}-{'m' * 220}", f"{number}", features, None, "\U0001f984" * 64
            ),
            access="authenticated" if audience == "*" else "restricted",
            allowed_users=() if audience == "*" else (audience,),
            published_at=1000,
        )
        for number in range(MODELS)
    ]


def crowd(*, audience: str = "*", now: float = 1000) -> Iterator[list[Deployment]]:
    """The deployments of each provider; owners' names come before everybody else's."""
    for owner in range(OWNERS):
        for name in range(PROVIDERS):
            yield hostile(f"aaa-{owner:02d}", f"box-{name:02d}", audience=audience)


def store_listed(store: ProviderStore, providers: Iterable[list[Deployment]], now: float = 1000) -> None:
    """What listings read of the providers: heads, rows by audience and what they list."""
    rows: list[Row] = []
    for deployments in providers:
        first = deployments[0]
        key = {"pk": f"owner#{first.owner}", "sk": f"head#{first.provider}"}
        rows.append({**key, "last_seen_at": int(now), "version": first.version})
        rows += [row for row in rows_of(deployments) if row["pk"].startswith("audience#")]
        listing = listing_of(deployments)
        assert listing
        rows.append(listing)
    store._put(rows)


def honest(owner: str, models: int = 5) -> list[Deployment]:
    """A provider as most are."""
    (example, *_) = hostile(owner, "home")
    return [
        replace(example, model=Model(f"{owner}/model-{number}", "m", ("timestamps",)))
        for number in range(models)
    ]
