"""A gateway on AWS: the tables of its stack, and AWS's errors as messages."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from admin.terminal import fail
from gateway.providers.addresses import own_hosts
from gateway.settings import CatalogSettings
from gateway.store.dynamodb import aws
from gateway.store.dynamodb.credentials import CredentialStore
from gateway.store.dynamodb.keys import KeyStore
from gateway.store.dynamodb.providers import ProviderStore
from gateway.store.dynamodb.totals import TotalsStore
from gateway.store.dynamodb.usage import UsageStore

_PARAMETERS = {
    "PROVIDER_ONLINE_SECONDS": "ProviderOnlineSeconds",
    "ALLOW_PRIVATE_PROVIDERS": "AllowPrivateProviders",
    "PUBLIC_URL": "PublicUrl",
    "DOMAIN_NAME": "DomainName",
}
_IN_WORDS = {
    "NoCredentialsError": "there are no AWS credentials: set AWS_PROFILE, or AWS_ACCESS_KEY_ID and its secret",
    "PartialCredentialsError": "the AWS credentials are incomplete",
    "NoRegionError": "no AWS region is set: set AWS_REGION",
    "EndpointConnectionError": "AWS cannot be reached at this endpoint: check AWS_ENDPOINT_URL and the region",
    "ConnectTimeoutError": "AWS cannot be reached at this endpoint: check AWS_ENDPOINT_URL and the region",
    "ProfileNotFound": "the profile in AWS_PROFILE does not exist",
    "ResourceNotFoundException": "there is no such table in this account and region",
    "ValidationError": "there is no such stack in this account and region",
    "AccessDeniedException": "these AWS credentials do not allow this",
    "ExpiredTokenException": "the AWS credentials have expired",
    "UnrecognizedClientException": "AWS does not know these credentials",
}


@dataclass(frozen=True)
class StackGateway:
    """The stores of the stack `name`, found by its outputs, and its settings, by its parameters."""

    name: str
    outputs: Mapping[str, str]
    parameters: Mapping[str, str]
    revocation: str = (
        "if it was used recently, it works until the authorizer's cache expires (AuthorizerCacheSeconds)"
    )

    def keys(self) -> KeyStore:
        return KeyStore(self._output("KeysTable"))

    def providers(self) -> ProviderStore:
        return ProviderStore(self._output("ProvidersTable"))

    def credentials(self) -> CredentialStore:
        # No command encrypts or reads a credential, so none needs the key's id.
        return CredentialStore("")

    def totals(self) -> TotalsStore:
        return TotalsStore(self._output("TotalsTable"))

    def usage(self) -> UsageStore:
        return UsageStore(self._output("UsageTable"), queue_url="")

    def settings(self) -> CatalogSettings:
        read = CatalogSettings.read(
            {variable: self.parameters.get(name, "") for variable, name in _PARAMETERS.items()}
        )
        return read.reached_at(own_hosts(read.public_url, read.domain_name))

    def dead_letters(self) -> str:
        """The URL of the queue that holds records nothing could write."""
        return self._output("UsageDeadLetters")

    def _output(self, name: str) -> str:
        return self.outputs.get(name) or fail(
            f"the stack {self.name} has no output {name}: check that it is an stt-gateway of this version"
        )


@contextmanager
def opened_stack(name: str) -> Iterator[StackGateway]:
    """Find the stack. Ends the command with one line if AWS refuses or does not answer."""
    # Other languages' SDKs read AWS_REGION; botocore reads only the older name.
    if region := os.environ.get("AWS_REGION"):
        os.environ.setdefault("AWS_DEFAULT_REGION", region)
    try:
        yield _found(name)
    except aws.StoreError as error:
        code = aws.error_code(error) or type(error).__name__
        fail(f"{_IN_WORDS.get(code, 'AWS refused or failed')} [{code}]")


def _found(name: str) -> StackGateway:
    (described,) = aws.client("cloudformation").describe_stacks(StackName=name)["Stacks"]
    return StackGateway(
        name,
        _pairs(described.get("Outputs", []), "OutputKey", "OutputValue"),
        _pairs(described.get("Parameters", []), "ParameterKey", "ParameterValue"),
    )


def _pairs(listed: list[dict[str, Any]], key: str, value: str) -> dict[str, str]:
    return {each[key]: each[value] for each in listed}
