"""Providers, their manifests and deployments. One table:

| pk | sk | holds |
|---|---|---|
| `owner#<owner>` | `head#<name>` | last heartbeat and the pointer to the version that routes |
| `owner#<owner>` | `meta#<name>` | public URL, PATCHed policies, the last upload's errors |
| `owner#<owner>` | `version#<name>#<version>` | one uploaded manifest, redacted, and its encrypted credentials |
| `owner#<owner>` | `roster` | the number of providers the owner created, so that concurrent creations keep the limit |
| `model#<slug>` | `<rank>#<owner>#<name>#<version>` | one deployment, also under its served id if that differs |
| `audience#<user or *>` | `<owner>#<name>#<version>` | the provider's services that the user, or everyone, sees |
| `listing#<owner>` | `<name>#<version>` | the provider's services with their models, as listings show them |

A manifest's rows are written under a new version. Then a conditional update sets the head's pointer to it, and readers,
who read heads and rows, use only rows of that version. Names contain no `#`, so keys are unambiguous.
"""

import json
import os
import secrets
import time
from collections.abc import Callable, Iterable
from functools import cache
from typing import Any

from gateway.providers.deployments import Deployment
from gateway.providers.provider import MAX_PROVIDERS, AccessPolicy, Provider, deployments_of
from gateway.store.dynamodb import aws
from gateway.store.dynamodb.rows import Row, keys_before_listings, listing_of, rows_of

# The layout of snapshots whose deployments have the keys of `rows_of`. Earlier snapshots have no layout.
_LAYOUT = 2
_CREATION_TRIES = 20


class ProviderStore:
    """Providers in the table named `table`, for their operators."""

    def __init__(self, table: str) -> None:
        self.table = table

    # --- what operators read

    def provider(self, owner: str, name: str) -> Provider | None:
        """One provider, complete and read consistently; None when the owner has none with this name."""
        keys = [(f"owner#{owner}", f"{kind}#{name}") for kind in ("head", "meta")]
        items = {item["sk"]: item for item in aws.batch_get(self.table, keys, consistent=True)}
        head, meta = items.get(f"head#{name}"), items.get(f"meta#{name}", {})
        if head is None:
            return None
        version = head.get("version")
        snapshot = (
            aws.get(self.table, f"owner#{owner}", f"version#{name}#{version}", consistent=True)
            if version
            else None
        )
        return _provider(owner, name, head, meta, snapshot or {})

    def owned(self, owner: str) -> list[Provider]:
        """All providers of an owner, by name, in one query."""
        items = {item["sk"]: item for item in aws.query(self.table, f"owner#{owner}", consistent=True)}
        found = []
        for sk, head in sorted(items.items()):
            kind, _, name = sk.partition("#")
            if kind == "head":
                snapshot = items.get(f"version#{name}#{head.get('version')}", {})
                found.append(_provider(owner, name, head, items.get(f"meta#{name}", {}), snapshot))
        return found

    # --- what operators write

    def beat(self, owner: str, name: str, now: float, *, create: bool = False) -> bool:
        """Record a heartbeat at `now` in one small write. False when the provider is unknown and was not created; an
        owner with MAX_PROVIDERS gets no new one."""
        beaten = aws.conditionally(
            "update_item",
            TableName=self.table,
            Key=aws.key(f"owner#{owner}", f"head#{name}"),
            UpdateExpression="SET last_seen_at = :now",
            ExpressionAttributeValues=aws.encode({":now": int(now)}),
            ConditionExpression="attribute_exists(pk)",
        )
        return beaten.held or (create and self._create(owner, name, now))

    def _create(self, owner: str, name: str, now: float) -> bool:
        """Create a provider; False when its owner has MAX_PROVIDERS."""
        for _ in range(_CREATION_TRIES):
            # Read the roster before the heads: a creation after this read makes the transaction fail.
            roster = aws.get(self.table, f"owner#{owner}", "roster", consistent=True) or {}
            heads = [
                head["sk"]
                for head in aws.query(self.table, f"owner#{owner}", prefix="head#", consistent=True)
            ]
            if f"head#{name}" in heads:
                return True
            if len(heads) >= MAX_PROVIDERS:
                return False
            if self._try_to_create(owner, name, now, roster.get("creations", 0)):
                return True
            time.sleep(secrets.randbelow(100) / 1000)
        raise aws.LeftUndoneError

    def _try_to_create(self, owner: str, name: str, now: float, creations: int) -> bool:
        """Create the head; False when another creation changed the count since `creations` was read."""
        count = {
            "TableName": self.table,
            "Key": aws.key(f"owner#{owner}", "roster"),
            "UpdateExpression": "SET creations = :next",
            "ConditionExpression": "creations = :read" if creations else "attribute_not_exists(pk)",
            "ExpressionAttributeValues": aws.encode(
                {":next": creations + 1} | ({":read": creations} if creations else {})
            ),
        }
        head = {"pk": f"owner#{owner}", "sk": f"head#{name}", "last_seen_at": int(now)}
        put = {
            "TableName": self.table,
            "Item": aws.encode(head),
            "ConditionExpression": "attribute_not_exists(pk)",
        }
        try:
            aws.client("dynamodb").transact_write_items(TransactItems=[{"Update": count}, {"Put": put}])
        except aws.StoreError as error:
            if aws.error_code(error) not in ("TransactionCanceledException", "TransactionConflictException"):
                raise
            return False
        return True

    def save_meta(self, provider: Provider) -> bool:
        """Write the public URL, the policies and the last upload's errors. False, and writes nothing, when they
        changed since `provider` was read."""
        item = {
            "pk": f"owner#{provider.owner}",
            "sk": f"meta#{provider.name}",
            "public_url": provider.public_url,
            "policies": _policies_json(provider),
            "errors": list(provider.errors),
            "revision": provider.revision + 1,
        }
        condition: dict[str, Any] = {"ConditionExpression": "attribute_not_exists(pk)"}
        if provider.revision:
            condition = {
                "ConditionExpression": "revision = :read",
                "ExpressionAttributeValues": aws.encode({":read": provider.revision}),
            }
        return aws.conditionally("put_item", TableName=self.table, Item=aws.encode(item), **condition).held

    def publish(self, provider: Provider) -> bool:
        """Route by `provider`'s document, policies and public URL. False, with nothing changed for readers, when
        another publication came after `provider` was read: read again and retry."""
        version = f"{time.time_ns() // 1000:017d}{secrets.token_hex(3)}"
        deployments = deployments_of(provider, version)
        # Write the snapshot first: a later sweep uses it to find the rows of an interrupted upload.
        self._put([_snapshot_row(provider, version)])
        listing = listing_of(deployments)
        self._put([*rows_of(deployments), *([listing] if listing else [])])
        condition = "attribute_exists(pk) AND " + (
            "version = :previous" if provider.version else "attribute_not_exists(version)"
        )
        values = {":new": version}
        if provider.version:
            values[":previous"] = provider.version
        flipped = aws.conditionally(
            "update_item",
            TableName=self.table,
            Key=aws.key(f"owner#{provider.owner}", f"head#{provider.name}"),
            UpdateExpression="SET version = :new",
            ConditionExpression=condition,
            ExpressionAttributeValues=aws.encode(values),
        ).held
        self._sweep(
            provider.owner,
            provider.name,
            lambda each: each < version if flipped else each == version,
        )
        return flipped

    def delete(self, owner: str, name: str) -> bool:
        """Delete a provider, its deployments and credentials. The head goes first, which stops routing."""
        reply = aws.client("dynamodb").delete_item(
            TableName=self.table, Key=aws.key(f"owner#{owner}", f"head#{name}"), ReturnValues="ALL_OLD"
        )
        self._sweep(owner, name, lambda _: True)
        aws.client("dynamodb").delete_item(
            TableName=self.table, Key=aws.key(f"owner#{owner}", f"meta#{name}")
        )
        return "Attributes" in reply

    def _sweep(self, owner: str, name: str, is_stale: Callable[[str], bool]) -> None:
        """Delete the rows of stale versions, including those of interrupted uploads. A version's snapshot, which
        identifies its rows, goes last, so that the next sweep can finish an interrupted one."""
        prefix = f"version#{name}#"
        for item in list(aws.query(self.table, f"owner#{owner}", prefix=prefix, consistent=True)):
            version = item["sk"].removeprefix(prefix)
            if is_stale(version):
                snapshot = _provider(owner, name, {"version": version}, item, item)
                self._delete(_keys_of(deployments_of(snapshot, version), item.get("layout", 1)))
                self._delete([(item["pk"], item["sk"])])

    def _put(self, rows: Iterable[Row]) -> None:
        self._write([{"PutRequest": {"Item": aws.encode(row)}} for row in rows])

    def _delete(self, keys: Iterable[tuple[str, str]]) -> None:
        self._write([{"DeleteRequest": {"Key": aws.key(*key)}} for key in keys])

    def _write(self, requests: list[dict[str, Any]]) -> None:
        """Write in batches of 25 (BatchWriteItem's limit)."""
        pause = aws.Pause()
        while requests:
            chunk, requests = requests[:25], requests[25:]
            reply = aws.client("dynamodb").batch_write_item(RequestItems={self.table: chunk})
            unprocessed = reply.get("UnprocessedItems", {}).get(self.table, [])
            pause.after(unprocessed)
            requests += unprocessed


def _keys_of(deployments: list[Deployment], layout: int) -> list[tuple[str, str]]:
    """The keys of all rows of a version except its snapshot."""
    if layout < _LAYOUT:
        return list(keys_before_listings(deployments))
    listing = listing_of(deployments)
    rows = [*rows_of(deployments), *([listing] if listing else [])]
    return [(row["pk"], row["sk"]) for row in rows]


def _provider(owner: str, name: str, head: Row, meta: Row, snapshot: Row) -> Provider:
    return Provider(
        owner=owner,
        name=name,
        last_seen_at=head.get("last_seen_at", 0),
        version=head.get("version"),
        document=json.loads(snapshot["document"]) if snapshot else None,
        uploaded_at=snapshot.get("uploaded_at"),
        credentials=snapshot.get("credentials", {}),
        looping=tuple(snapshot.get("looping", ())),
        public_url=meta.get("public_url"),
        policies=_policies(meta),
        errors=tuple(meta.get("errors", ())),
        revision=meta.get("revision", 0),
        published_url=snapshot.get("public_url"),
        published_policies=_policies(snapshot),
    )


def _policies(row: Row) -> dict[str, AccessPolicy]:
    return {
        service: AccessPolicy(
            policy["access"], None if policy["allowed_users"] is None else tuple(policy["allowed_users"])
        )
        for service, policy in json.loads(row.get("policies") or "{}").items()
    }


def _snapshot_row(provider: Provider, version: str) -> Row:
    """The version's snapshot. It includes the public URL and the policies of its deployments."""
    return {
        "pk": f"owner#{provider.owner}",
        "sk": f"version#{provider.name}#{version}",
        "document": json.dumps(provider.document, separators=(",", ":"), ensure_ascii=False),
        "uploaded_at": provider.uploaded_at,
        "public_url": provider.public_url,
        "credentials": dict(provider.credentials),
        "looping": provider.looping,
        "layout": _LAYOUT,
        "policies": _policies_json(provider),
    }


def _policies_json(provider: Provider) -> str:
    return json.dumps(
        {
            service: {"access": policy.access, "allowed_users": policy.allowed_users}
            for service, policy in provider.policies.items()
        },
        ensure_ascii=False,
        separators=(",", ":"),
    )


@cache
def provider_store() -> ProviderStore:
    """The store of the table in PROVIDERS_TABLE."""
    return ProviderStore(os.environ["PROVIDERS_TABLE"])
