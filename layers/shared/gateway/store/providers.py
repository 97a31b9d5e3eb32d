"""Providers, their manifests and deployments. One table:

| pk | sk | holds |
|---|---|---|
| `owner#<owner>` | `head#<name>` | liveness and the pointer to the routing version: what a heartbeat writes |
| `owner#<owner>` | `meta#<name>` | public URL, PATCHed policies, the last upload's errors |
| `owner#<owner>` | `version#<name>#<version>` | one uploaded manifest, redacted, and its credentials' ciphertext |
| `model#<slug>` | `<owner>#<name>#<version>#<n>` | one deployment, also under its served id where that differs |
| `audience#<user or *>` | `<owner>#<name>#<version>#<n>` | one service with its models, for listings |

A manifest is written under a new version; then the head's pointer flips, conditionally, and readers, who read
heads together with rows, take the new rows and leave the old. Names hold no `#`, so keys cannot be confused.
"""

import json
import os
import secrets
import time
from collections.abc import Callable, Iterable
from functools import cache
from typing import Any

from gateway.providers import AccessPolicy, Provider, deployments_of
from gateway.store import aws
from gateway.store.rows import Row, rows_of


class ProviderStore:
    """Providers in the table named `table`, for their operators."""

    def __init__(self, table: str) -> None:
        self.table = table

    # --- what operators read

    def provider(self, owner: str, name: str) -> Provider | None:
        """One provider whole, read consistently; None when the owner has none of that name."""
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
        """All providers of an owner by name: one query."""
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
        """Note that the provider was alive at `now`: one small write. False when it is unknown and not created."""
        condition = {} if create else {"ConditionExpression": "attribute_exists(pk)"}
        try:
            aws.client("dynamodb").update_item(
                TableName=self.table,
                Key=_key(f"owner#{owner}", f"head#{name}"),
                UpdateExpression="SET last_seen_at = :now",
                ExpressionAttributeValues=aws.encode({":now": int(now)}),
                **condition,
            )
        except aws.StoreError as error:
            if not aws.is_condition_failure(error):
                raise
            return False
        return True

    def save_meta(self, provider: Provider) -> bool:
        """Write what is not part of a manifest: public URL, policies, the last upload's errors. False, with
        nothing written, when it was changed since `provider` was read."""
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
        try:
            aws.put(self.table, item, **condition)
        except aws.StoreError as error:
            if not aws.is_condition_failure(error):
                raise
            return False
        return True

    def publish(self, provider: Provider) -> bool:
        """Make `provider`'s document, policies and public URL route. False, with nothing changed for readers,
        when another publication came between `provider` being read and the flip: read again and retry."""
        version = f"{time.time_ns() // 1000:017d}{secrets.token_hex(3)}"
        # The snapshot first: from it a later sweep knows every row that an interrupted upload left.
        self._write([_snapshot_row(provider, version)])
        self._write(rows_of(deployments_of(provider, version)))
        condition = "attribute_exists(pk) AND " + (
            "version = :previous" if provider.version else "attribute_not_exists(version)"
        )
        values = {":new": version}
        if provider.version:
            values[":previous"] = provider.version
        try:
            aws.client("dynamodb").update_item(
                TableName=self.table,
                Key=_key(f"owner#{provider.owner}", f"head#{provider.name}"),
                UpdateExpression="SET version = :new",
                ConditionExpression=condition,
                ExpressionAttributeValues=aws.encode(values),
            )
        except aws.StoreError as error:
            if not aws.is_condition_failure(error):
                raise
            self._sweep(provider.owner, provider.name, lambda each: each == version)
            return False
        self._sweep(provider.owner, provider.name, lambda each: each < version)
        return True

    def delete(self, owner: str, name: str) -> bool:
        """Remove a provider, its deployments and credentials. The head goes first: from then on nothing routes."""
        reply = aws.client("dynamodb").delete_item(
            TableName=self.table, Key=_key(f"owner#{owner}", f"head#{name}"), ReturnValues="ALL_OLD"
        )
        self._sweep(owner, name, lambda _: True)
        aws.client("dynamodb").delete_item(TableName=self.table, Key=_key(f"owner#{owner}", f"meta#{name}"))
        return "Attributes" in reply

    def _sweep(self, owner: str, name: str, is_stale: Callable[[str], bool]) -> None:
        """Delete the rows of versions that no longer route, also what an interrupted upload left. A version's
        snapshot, from which its rows are known, goes last, so that an interrupted sweep is taken up by the next."""
        prefix = f"version#{name}#"
        for item in list(aws.query(self.table, f"owner#{owner}", prefix=prefix, consistent=True)):
            version = item["sk"].removeprefix(prefix)
            if is_stale(version):
                snapshot = _provider(owner, name, {"version": version}, item, item)
                self._write(rows_of(deployments_of(snapshot, version)), delete=True)
                self._write([item], delete=True)

    def _write(self, rows: Iterable[Row], *, delete: bool = False) -> None:
        """BatchWriteItem, 25 a call."""
        requests = [
            {"DeleteRequest": {"Key": _key(row["pk"], row["sk"])}}
            if delete
            else {"PutRequest": {"Item": aws.encode(row)}}
            for row in rows
        ]
        pause = aws.Pause()
        while requests:
            chunk, requests = requests[:25], requests[25:]
            reply = aws.client("dynamodb").batch_write_item(RequestItems={self.table: chunk})
            unprocessed = reply.get("UnprocessedItems", {}).get(self.table, [])
            pause.after(unprocessed)
            requests += unprocessed


def _key(pk: str, sk: str) -> dict[str, dict[str, str]]:
    return {"pk": {"S": pk}, "sk": {"S": sk}}


def _provider(owner: str, name: str, head: Row, meta: Row, snapshot: Row) -> Provider:
    return Provider(
        owner=owner,
        name=name,
        last_seen_at=head.get("last_seen_at", 0),
        version=head.get("version"),
        document=json.loads(snapshot["document"]) if snapshot else None,
        uploaded_at=snapshot.get("uploaded_at"),
        credentials=snapshot.get("credentials", {}),
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
    """The version's own row. It repeats the public URL and the policies that its deployments were made with."""
    return {
        "pk": f"owner#{provider.owner}",
        "sk": f"version#{provider.name}#{version}",
        "document": json.dumps(provider.document, separators=(",", ":"), ensure_ascii=False),
        "uploaded_at": provider.uploaded_at,
        "public_url": provider.public_url,
        "credentials": dict(provider.credentials),
        "policies": _policies_json(provider),
    }


def _policies_json(provider: Provider) -> str:
    return json.dumps(
        {
            service: {"access": policy.access, "allowed_users": policy.allowed_users}
            for service, policy in provider.policies.items()
        }
    )


@cache
def provider_store() -> ProviderStore:
    """The store on the table that PROVIDERS_TABLE names."""
    return ProviderStore(os.environ["PROVIDERS_TABLE"])
