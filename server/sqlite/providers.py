"""Store providers, their manifests, and the deployments that callers find."""

import json
import secrets
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import apsw

from gateway.providers.deployments import Deployment, audiences
from gateway.providers.model_list import MAX_DISPLAY_NAME
from gateway.providers.provider import MAX_PROVIDERS, AccessPolicy, Provider, deployments_of
from server.sqlite.database import Database, Row

_COLUMNS = (
    "id, owner, name, last_seen_at, version, document, uploaded_at, looping, public_url, policies, errors, revision, "
    "published_url, published_policies"
)


class ProviderStore:
    """Providers in the main database, for their operators. Calls `changed` after each write."""

    def __init__(self, database: Database, changed: Callable[[], object] = lambda: None) -> None:
        self._database = database
        self._changed = changed

    # --- what operators read

    def provider(self, owner: str, name: str) -> Provider | None:
        """One provider, complete; None when the owner has none with this name."""
        return next(iter(self._read("owner = ? AND name = ?", owner, name)), None)

    def owned(self, owner: str) -> list[Provider]:
        """All providers of an owner, by name."""
        return self._read("owner = ?", owner)

    def _read(self, condition: str, *values: str) -> list[Provider]:
        with self._database.snapshot():
            rows = self._database.rows(
                f"SELECT {_COLUMNS} FROM providers WHERE {condition} ORDER BY name",  # noqa: S608
                values,
            )
            return [_provider(row, self._credentials(row[0])) for row in rows]

    def _credentials(self, provider: int) -> dict[str, bytes]:
        return dict(
            self._database.rows("SELECT service, ciphertext FROM credentials WHERE provider = ?", (provider,))
        )

    # --- what operators write

    def beat(self, owner: str, name: str, now: float, *, create: bool = False) -> bool:
        """Record a heartbeat at `now`. False when the provider is unknown and was not created; an owner with
        MAX_PROVIDERS gets no new one."""

        def write(connection: apsw.Connection) -> bool:
            key = (owner, name)
            connection.execute(
                "UPDATE providers SET last_seen_at = ? WHERE owner = ? AND name = ?", (int(now), *key)
            )
            if connection.changes() or not create:
                return bool(connection.changes())
            count = connection.execute("SELECT count(*) FROM providers WHERE owner = ?", (owner,)).get
            if count >= MAX_PROVIDERS:
                return False
            connection.execute(
                "INSERT INTO providers (owner, name, last_seen_at) VALUES (?, ?, ?)", (*key, int(now))
            )
            return True

        return self._write(write)

    def save_meta(self, provider: Provider) -> bool:
        """Write the public URL, the policies and the last upload's errors. False, and writes nothing, when they
        changed, or the provider was deleted, since `provider` was read."""
        values = (
            provider.public_url,
            _policies_json(provider.policies),
            _as_json(list(provider.errors)),
            provider.owner,
            provider.name,
            provider.revision,
        )

        def write(connection: apsw.Connection) -> bool:
            connection.execute(
                "UPDATE providers SET public_url = ?, policies = ?, errors = ?, revision = revision + 1 "
                "WHERE owner = ? AND name = ? AND revision = ?",
                values,
            )
            return bool(connection.changes())

        return self._write(write)

    def publish(self, provider: Provider) -> bool:
        """Route by `provider`'s document, policies and public URL. False, with nothing changed, when another
        publication came after `provider` was read: read again and retry."""
        version = f"{time.time_ns() // 1000:017d}{secrets.token_hex(3)}"
        # Outside the transaction: a large manifest takes a while to convert.
        deployments = deployments_of(provider, version)
        values = (
            version,
            _as_json(provider.document),
            provider.uploaded_at,
            _as_json(provider.looping),
            provider.public_url,
            _policies_json(provider.policies),
            _listing_bytes(deployments),
            provider.owner,
            provider.name,
            provider.version,
        )

        def write(connection: apsw.Connection) -> bool:
            found = connection.execute(
                "UPDATE providers SET version = ?, document = ?, uploaded_at = ?, looping = ?, published_url = ?, "
                "published_policies = ?, listing_bytes = ? WHERE owner = ? AND name = ? AND version IS ? "
                "RETURNING id",
                values,
            ).fetchone()
            if found is None:
                return False
            _replace_deployments(connection, found[0], deployments, provider.credentials)
            return True

        return self._write(write)

    def delete(self, owner: str, name: str) -> bool:
        """Delete a provider, its deployments and credentials; False when there was none."""

        def write(connection: apsw.Connection) -> bool:
            connection.execute("DELETE FROM providers WHERE owner = ? AND name = ?", (owner, name))
            return bool(connection.changes())

        return self._write(write)

    def _write(self, job: Callable[[apsw.Connection], bool]) -> bool:
        done = self._database.write(job)
        self._changed()
        return done


def _replace_deployments(
    connection: apsw.Connection,
    provider: int,
    deployments: Iterable[Deployment],
    credentials: Mapping[str, bytes],
) -> None:
    connection.execute("DELETE FROM services WHERE provider = ?", (provider,))
    connection.execute("DELETE FROM credentials WHERE provider = ?", (provider,))
    connection.executemany(
        "INSERT INTO credentials (provider, service, ciphertext) VALUES (?, ?, ?)",
        [(provider, service, ciphertext) for service, ciphertext in credentials.items()],
    )
    services: dict[str, int] = {}
    ranks: dict[str, int] = {}
    for each in deployments:
        if each.service not in services:
            services[each.service] = _add_service(connection, provider, each)
        model = each.model
        connection.execute(
            "INSERT INTO models (service, slug, served_id, features, context_length, display_name) "
            "VALUES (?, ?, ?, ?, ?, ?)",
            (
                services[each.service],
                model.slug,
                model.served_id,
                "\n".join(model.features),
                model.context_length,
                model.display_name[:MAX_DISPLAY_NAME] if model.display_name else None,
            ),
        )
        model_id = connection.last_insert_rowid()
        for name in each.names:
            rank = ranks[name] = ranks.get(name, -1) + 1
            connection.execute("INSERT INTO model_names VALUES (?, ?, ?)", (name, rank, model_id))


def _add_service(connection: apsw.Connection, provider: int, first: Deployment) -> int:
    """Store the service of a deployment, with those who may use it. Returns the service's id."""
    connection.execute(
        "INSERT INTO services (provider, name, base_url, access, names_users) VALUES (?, ?, ?, ?, ?)",
        (provider, first.service, first.base_url, first.access, int(bool(first.allowed_users))),
    )
    service = connection.last_insert_rowid()
    users = {first.owner, *audiences(first.owner, first.access, first.allowed_users)}
    connection.executemany("INSERT INTO audiences VALUES (?, ?)", [(service, user) for user in users])
    return service


def _listing_bytes(deployments: Iterable[Deployment]) -> int:
    """About how much text listings read of these deployments, in bytes."""
    return sum(
        len("".join((each.base_url, each.model.slug, each.model.served_id, *each.model.features)).encode())
        + len((each.model.display_name or "")[:MAX_DISPLAY_NAME].encode())
        for each in deployments
    )


def _provider(row: Row, credentials: Mapping[str, bytes]) -> Provider:
    _, owner, name, last_seen_at, version, document, uploaded_at, looping, public_url, policies, *rest = row
    errors, revision, published_url, published_policies = rest
    return Provider(
        owner=owner,
        name=name,
        last_seen_at=last_seen_at,
        version=version,
        document=json.loads(document) if document is not None else None,
        uploaded_at=uploaded_at,
        credentials=credentials,
        looping=tuple(json.loads(looping)),
        public_url=public_url,
        policies=_policies(policies),
        errors=tuple(json.loads(errors)),
        revision=revision,
        published_url=published_url,
        published_policies=_policies(published_policies),
    )


def _policies(text: str) -> dict[str, AccessPolicy]:
    return {
        service: AccessPolicy(access, None if users is None else tuple(users))
        for service, (access, users) in json.loads(text).items()
    }


def _policies_json(policies: Mapping[str, AccessPolicy]) -> str:
    return _as_json({service: (policy.access, policy.allowed_users) for service, policy in policies.items()})


def _as_json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
