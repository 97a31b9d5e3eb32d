"""A provider as its operator sees it, and the deployments of its manifest."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from gateway import manifest
from gateway.providers import addresses
from gateway.providers.deployments import Deployment, provider_id
from gateway.settings import CatalogSettings

STT = "stt"
# Max per owner. Listings and heads are read by provider, so this limits what one owner costs others.
MAX_PROVIDERS = 20
# A deployment's row without its URL, users, features and credential.
_ROW_BYTES = 300


@dataclass(frozen=True, slots=True)
class AccessPolicy:
    """A service's PATCHed access; None means that the manifest decides."""

    access: str | None = None
    allowed_users: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Provider:
    """Everything stored about one provider. Times are epoch seconds.

    `version` identifies the manifest that routes now. `document` is its redacted form, `credentials` the ciphertext
    of each service's api_key, `looping` the services whose api_key is a key of this gateway, `policies` the PATCHed
    policies by service name, and `errors` the problems of the last upload if it was invalid.
    """

    owner: str
    name: str
    last_seen_at: float = 0.0
    version: str | None = None
    document: dict[str, Any] | None = None
    uploaded_at: int | None = None
    credentials: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    looping: tuple[str, ...] = ()
    public_url: str | None = None
    policies: Mapping[str, AccessPolicy] = field(default_factory=dict)
    errors: tuple[str, ...] = ()
    # Counts changes outside the manifest, so that concurrent changes cannot undo each other.
    revision: int = 0
    # The values that `version` was published with. They differ from the above after an interrupted change.
    published_url: str | None = None
    published_policies: Mapping[str, AccessPolicy] = field(default_factory=dict)

    @property
    def provider_id(self) -> int:
        return provider_id(self.owner, self.name)


def services_of(provider: Provider) -> Sequence[manifest.Service]:
    """The services of the manifest that routes now, as validated on upload."""
    return manifest.read_stored(provider.document).services if provider.document else ()


def effective_access(provider: Provider, service: manifest.Service) -> tuple[str, tuple[str, ...]]:
    """A service's access and allowed users. PATCHed values override the manifest."""
    policy = provider.policies.get(service.name, AccessPolicy())
    return (
        policy.access if policy.access is not None else service.access,
        policy.allowed_users if policy.allowed_users is not None else service.allowed_users,
    )


def row_count(provider: Provider) -> int:
    """The number of table rows of the provider's manifest with its PATCHed policies."""
    effective = []
    for service in services_of(provider):
        access, allowed_users = effective_access(provider, service)
        effective.append(replace(service, access=access, allowed_users=allowed_users))
    return manifest.count_rows(effective, provider.owner)


def row_bytes(provider: Provider) -> int:
    """The approximate bytes of the deployments' rows, which is what publishing costs."""
    return sum(
        len(each.names)
        * (
            _ROW_BYTES
            + len(" ".join((each.base_url, *each.allowed_users, *each.model.features)).encode())
            + len(each.credential or b"")
        )
        for each in deployments_of(provider, "")
    )


def base_url(provider: Provider, service: manifest.Service) -> str:
    """The URL the gateway dials: the provider's public URL if set, else the service's own."""
    return (provider.public_url or service.url).rstrip("/")


def deployments_of(provider: Provider, version: str) -> list[Deployment]:
    """Build the deployments of `version`: every model of every stt service whose calls would not loop."""
    found = []
    for service in services_of(provider):
        if service.type != STT or service.name in provider.looping:
            continue
        access, allowed_users = effective_access(provider, service)
        for model in service.models:
            found.append(
                Deployment(
                    owner=provider.owner,
                    provider=provider.name,
                    version=version,
                    service=service.name,
                    base_url=base_url(provider, service),
                    model=replace(model, features=tuple(dict.fromkeys((*service.features, *model.features)))),
                    access=access,
                    allowed_users=allowed_users,
                    credential=provider.credentials.get(service.name),
                    published_at=provider.uploaded_at or 0,
                )
            )
    return found


def unrouted_reason(
    provider: Provider, service: manifest.Service, settings: CatalogSettings, *, online: bool
) -> str | None:
    """Say, for the operator, why no transcription reaches the service now; None when it is routed."""
    if service.type != STT:
        return f"only services of type stt are routed, but this one is {service.type}"
    if not service.models:
        return "the service declares no models"
    if service.name in provider.looping:
        return (
            "its api_key is a key of this gateway, so calls would come back here: "
            "use the key that the server itself expects"
        )
    refusal = addresses.refusal(
        base_url(provider, service), allow_private=settings.allow_private, own=settings.own_hosts
    )
    if refusal:
        return f"the gateway cannot use the {'public_url' if provider.public_url else 'url'}: {refusal}"
    if not online:
        return "the provider is offline: no recent register, manifest or heartbeat call"
    return None


def warnings_of(
    provider: Provider, service: manifest.Service, services: Sequence[manifest.Service]
) -> list[str]:
    """Warnings about behaviour the operator may not expect. `services` are all of the provider's."""
    sharing = [each for each in services if each.type == STT]
    if provider.public_url and service.type == STT and len(sharing) > 1:
        return [
            f"{len(sharing)} stt services share one public_url. The agent behind it sends every transcription to "
            f"the first one, {sharing[0].name}"
        ]
    return []
