"""Actions of operators and agents: register, upload, send heartbeats, list, change, delete (contract section 5)."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from gateway import manifest
from gateway.errors import Conflict, InvalidRequest, NotFound
from gateway.manifest import InvalidManifestError
from gateway.providers.deployments import provider_id
from gateway.providers.provider import (
    MAX_PROVIDERS,
    AccessPolicy,
    Provider,
    effective_access,
    row_bytes,
    row_count,
    services_of,
    unrouted_reason,
    warnings_of,
)
from gateway.providers.requests import Heartbeat, ProviderChange, Registration, ServiceChange, read
from gateway.settings import CatalogSettings
from gateway.usage.record import timestamp

if TYPE_CHECKING:
    from gateway.store.ports import CredentialStore, ProviderStore

_TRIES = 5
# They are stored twice, in items of at most 400 KB.
_MAX_PATCHED_USERS = 2000
# More than a manifest's services: a PATCHed policy stays while its service is missing from the manifest.
_MAX_PATCHED_SERVICES = 200
# Lambda returns at most 6,291,556 bytes of JSON, and escapes every quote and backslash of the body.
_MAX_LISTING_BYTES = 5_500_000
TOO_MANY_PROVIDERS = (
    f"an owner can have at most {MAX_PROVIDERS} providers: "
    "remove one with DELETE /v1/providers/{name} before adding another"
)


class TooManyProviders(InvalidRequest):
    """The owner already has the max number of providers, and this one is new."""

    def __init__(self) -> None:
        super().__init__(f"{TOO_MANY_PROVIDERS[0].upper()}{TOO_MANY_PROVIDERS[1:]}.", param="name")


class ManifestRefused(InvalidRequest):
    """An invalid manifest. The envelope lists every problem in `errors`, beside the usual error."""

    def __init__(self, problems: list[str]) -> None:
        count = len(problems)
        super().__init__(
            f"The manifest is not valid ({count} problem{'s' if count > 1 else ''}). First: {problems[0]}",
            param="manifest",
        )
        self.problems = problems

    def envelope(self) -> dict[str, Any]:
        return super().envelope() | {"errors": self.problems}


@dataclass(frozen=True, slots=True)
class Operator:
    """One operator's view of the gateway, at `now` (epoch seconds).

    `is_own_key` says whether a credential is a key of this gateway, valid or not. `charge` is called with the bytes
    of the rows before a change writes them.
    """

    user_id: str
    store: "ProviderStore"
    vault: "CredentialStore"
    settings: CatalogSettings
    now: float
    is_own_key: Callable[[str], bool]
    charge: Callable[[int], None] = lambda _: None

    def register(self, body: Any) -> dict[str, Any]:
        """Register the provider and mark it alive; idempotent. Raises InvalidRequest, TooManyProviders."""
        asked = read(Registration, body)
        self._make_known(asked.name)
        if asked.public_url is not None:
            self._change(asked.name, lambda provider: replace(provider, public_url=asked.public_url))
        return {
            "provider_id": provider_id(self.user_id, asked.name),
            "tailnet_hostname": asked.tailnet_hostname or "",
            "tailscale_authkey": "",
            "tailscale_login_server": "",
        }

    def upload_manifest(self, body: Any) -> dict[str, Any]:
        """Validate a manifest and route by it. Raises ManifestRefused; the last valid one then keeps routing."""
        try:
            uploaded = manifest.read_upload(body)
        except InvalidManifestError as invalid:
            self._note_invalid(body, invalid.problems)
            raise ManifestRefused(invalid.problems) from None
        name = uploaded.agent_name
        try:
            self._make_known(name)
        except TooManyProviders:
            raise ManifestRefused([f"agent.name: {TOO_MANY_PROVIDERS}"]) from None
        looping = self._looping(uploaded)

        def edit(provider: Provider) -> Provider:
            credentials = self._credentials(provider, uploaded, looping)
            changed = replace(
                provider, document=uploaded.redacted, credentials=credentials, looping=looping, errors=()
            )
            if _routing(changed) == _routing(provider):
                return changed
            # PATCHed access can make it take more rows than the manifest alone.
            if (rows := row_count(changed)) > manifest.MAX_ROWS:
                raise ManifestRefused(
                    [f"hosts[].services: {manifest.too_many_rows(rows)}, with the access that was PATCHed"]
                )
            return replace(changed, uploaded_at=int(self.now))

        try:
            self._change(name, edit)
        except ManifestRefused as refused:
            errors = tuple(refused.problems)
            self._change(name, lambda provider: replace(provider, errors=errors))
            raise
        return {"manifest": uploaded.redacted, "errors": []}

    def _make_known(self, name: str) -> None:
        """Mark the provider alive, and create it if it is new. Raises TooManyProviders."""
        if not self.store.beat(self.user_id, name, self.now, create=True):
            raise TooManyProviders

    def _looping(self, uploaded: manifest.Manifest) -> tuple[str, ...]:
        """The services whose api_key is one of this gateway's keys, so that calls would loop."""
        keys = {service.api_key for service in uploaded.services if service.api_key}
        own = {key for key in keys if self.is_own_key(key)}
        return tuple(service.name for service in uploaded.services if service.api_key in own)

    def _credentials(
        self, provider: Provider, uploaded: manifest.Manifest, looping: tuple[str, ...]
    ) -> dict[str, bytes]:
        """Encrypt the uploaded credentials. An unchanged credential keeps its ciphertext."""
        found = {}
        for service in uploaded.services:
            if service.api_key and service.name not in looping:
                place = (self.user_id, provider.name, service.name)
                kept = provider.credentials.get(service.name)
                if kept is None or not self.vault.holds(kept, service.api_key, *place):
                    kept = self.vault.encrypt(service.api_key, *place)
                found[service.name] = kept
        return found

    def heartbeat(self, body: Any) -> dict[str, Any]:
        """Mark the provider alive by the gateway's clock. Raises InvalidRequest, NotFound."""
        name = read(Heartbeat, body).name
        if not self.store.beat(self.user_id, name, self.now):
            raise NotFound("No provider with this name is registered under this key.", param="name")
        return {
            "provider_id": provider_id(self.user_id, name),
            "online": True,
            "last_seen_at": timestamp(int(self.now)),
        }

    def list_providers(self) -> dict[str, Any]:
        """List the operator's own providers. If one answer cannot hold them all in full, the last ones omit their
        services and errors, and `truncated` is true."""
        views, left, truncated = [], _MAX_LISTING_BYTES, False
        for provider in self.store.owned(self.user_id):
            view = self._view(provider)
            if (size := _size_in_reply(view)) > left:
                view |= {"services": [], "manifest": view["manifest"] | {"errors": []}}
                size, truncated = _size_in_reply(view), True
            left -= size
            views.append(view)
        return {"object": "list", "data": views} | ({"truncated": True} if truncated else {})

    def change_provider(self, name: str, body: Any) -> dict[str, Any]:
        """Set or clear the public URL. Raises InvalidRequest, NotFound."""
        public_url = read(ProviderChange, body).public_url
        return self._view(self._change(name, lambda provider: replace(provider, public_url=public_url)))

    def change_service(self, name: str, service: str, body: Any) -> dict[str, Any]:
        """Set who may use a service; null restores the manifest's value. Raises InvalidRequest, NotFound."""
        changes = _policy(read(ServiceChange, body))

        def edit(provider: Provider) -> Provider:
            # The PATCHed policy of a service that has left the manifest can still be set to null.
            if service not in provider.policies and all(
                each.name != service for each in services_of(provider)
            ):
                raise NotFound("The provider's manifest has no service with this name.", param="service")
            policy = replace(provider.policies.get(service, AccessPolicy()), **changes)
            policies = {**provider.policies, service: policy}
            if policy == AccessPolicy():
                del policies[service]
            if sum(len(each.allowed_users or ()) for each in policies.values()) > _MAX_PATCHED_USERS:
                raise InvalidRequest(
                    f"The PATCHed services of a provider may list at most {_MAX_PATCHED_USERS} users together: "
                    "list the others in the manifest.",
                    param="allowed_users",
                )
            if len(policies) > _MAX_PATCHED_SERVICES:
                raise InvalidRequest(
                    f"At most {_MAX_PATCHED_SERVICES} services of a provider may be PATCHed: set access and "
                    "allowed_users to null for those that are no longer in the manifest.",
                    param="service",
                )
            return _within_rows(replace(provider, policies=policies), provider)

        return self._view(self._change(name, edit))

    def delete(self, name: str) -> dict[str, Any]:
        """Remove a provider with its deployments and credentials. Raises NotFound."""
        if not manifest.is_url_safe(name) or not self.store.delete(self.user_id, name):
            raise _unknown_provider()
        return {"id": provider_id(self.user_id, name), "object": "provider", "deleted": True}

    def _change(self, name: str, edit: Callable[[Provider], Provider]) -> Provider:
        """Apply `edit` to the stored provider and publish the change. Raises NotFound, Conflict."""
        for _ in range(_TRIES):
            # Text that cannot be a name is not looked up.
            provider = self.store.provider(self.user_id, name) if manifest.is_url_safe(name) else None
            if provider is None:
                raise _unknown_provider()
            changed = edit(provider)
            if _meta(changed) != _meta(provider) and not self.store.save_meta(changed):
                continue
            if changed.document is None or _routing(changed) == _published(provider):
                return changed
            self.charge(row_bytes(changed))
            if self.store.publish(changed):
                return changed
        raise Conflict("Other requests are changing the provider. Send this request again.")

    def _note_invalid(self, body: Any, problems: list[str]) -> None:
        """Mark the provider alive, or create it, although its upload is invalid, and store the problems."""
        parsed = body.get("parsed") if isinstance(body, dict) else None
        agent = parsed.get("agent") if isinstance(parsed, dict) else None
        name = agent.get("name") if isinstance(agent, dict) else None
        if (
            isinstance(name, str)
            and manifest.is_url_safe(name)
            and self.store.beat(self.user_id, name, self.now, create=True)
        ):
            self._change(name, lambda provider: replace(provider, errors=tuple(problems)))

    def _view(self, provider: Provider) -> dict[str, Any]:
        """Build the contract's provider object."""
        online = self.now - provider.last_seen_at <= self.settings.provider_online_seconds
        services = services_of(provider)
        return {
            "id": provider.provider_id,
            "object": "provider",
            "name": provider.name,
            "owner": provider.owner,
            "online": online,
            "last_seen_at": timestamp(provider.last_seen_at) if provider.last_seen_at else None,
            "seconds_since_last_seen": max(0, int(self.now - provider.last_seen_at)),
            "public_url": provider.public_url,
            "manifest": {
                "uploaded_at": timestamp(provider.uploaded_at) if provider.uploaded_at else None,
                "errors": list(provider.errors),
            },
            "services": [self._service_view(provider, each, services, online) for each in services],
        }

    def _service_view(
        self,
        provider: Provider,
        service: manifest.Service,
        services: Sequence[manifest.Service],
        online: bool,
    ) -> dict[str, Any]:
        access, allowed_users = effective_access(provider, service)
        reason = unrouted_reason(provider, service, self.settings, online=online)
        features = (*service.features, *(each for model in service.models for each in model.features))
        return {
            "name": service.name,
            "type": service.type,
            "engine": service.engine,
            "url": service.url,
            "features": list(dict.fromkeys(features)),
            "access": access,
            "allowed_users": list(allowed_users),
            "models": [model.slug for model in service.models],
            "routed": reason is None,
            "reason": reason,
            "warnings": warnings_of(provider, service, services),
        }


def _meta(provider: Provider) -> tuple[object, ...]:
    return provider.public_url, provider.policies, provider.errors


def _routing(provider: Provider) -> tuple[object, ...]:
    """The fields that deployments are built from."""
    return provider.document, provider.credentials, provider.looping, provider.public_url, provider.policies


def _published(provider: Provider) -> tuple[object, ...]:
    """The fields that the currently routed deployments were built from."""
    return (
        provider.document,
        provider.credentials,
        provider.looping,
        provider.published_url,
        provider.published_policies,
    )


def _within_rows(changed: Provider, before: Provider) -> Provider:
    """Return `changed`. Raises InvalidRequest when it takes more rows than a manifest may, and more than before:
    providers older than this limit may exceed it."""
    rows = row_count(changed)
    if rows > manifest.MAX_ROWS and rows > row_count(before):
        raise InvalidRequest(
            f"With this access the provider's services {manifest.too_many_rows(rows)}.", param="allowed_users"
        )
    return changed


def _size_in_reply(view: dict[str, Any]) -> int:
    """Bytes of the view as JSON inside a JSON string, which is how Lambda returns a body."""
    text = json.dumps(view, ensure_ascii=False, separators=(",", ":"))
    return len(json.dumps(text, ensure_ascii=False).encode())


def _unknown_provider() -> NotFound:
    return NotFound("No provider with this name is registered under this key.", param="name")


def _policy(asked: ServiceChange) -> dict[str, Any]:
    """The AccessPolicy fields that were sent, null included."""
    changes: dict[str, Any] = {name: getattr(asked, name) for name in asked.model_fields_set}
    if changes.get("allowed_users") is not None:
        changes["allowed_users"] = tuple(dict.fromkeys(changes["allowed_users"]))
    return changes
