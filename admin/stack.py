"""Finds the gateway's tables, and turns AWS's errors into messages."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer

from admin.terminal import fail
from gateway.settings import CatalogSettings
from gateway.store.dynamodb import aws
from gateway.store.dynamodb.keys import KeyStore
from gateway.store.dynamodb.providers import ProviderStore
from gateway.store.dynamodb.usage import UsageStore

Stack = Annotated[
    str | None,
    typer.Option(
        "--stack",
        envvar="STT_GATEWAY_STACK",
        help="The CloudFormation stack. Without it, set KEYS_TABLE, PROVIDERS_TABLE and USAGE_TABLE.",
        show_default=False,
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]

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


def key_store(stack: str | None) -> KeyStore:
    return KeyStore(_table("KEYS_TABLE", "KeysTable", stack))


def provider_store(stack: str | None) -> ProviderStore:
    return ProviderStore(_table("PROVIDERS_TABLE", "ProvidersTable", stack))


def usage_store(stack: str | None) -> UsageStore:
    return UsageStore(_table("USAGE_TABLE", "UsageTable", stack), queue_url="")


def dead_letters_of(stack: str | None) -> str:
    """The URL of the queue that holds records nothing could write."""
    return _table("USAGE_DEAD_LETTERS_URL", "UsageDeadLetters", stack)


def settings_of(stack: str | None) -> CatalogSettings:
    """When a provider counts as online and dialable: from the stack's parameters, else the environment."""
    if not stack:
        return CatalogSettings.read()
    given = _described(stack).get("Parameters", [])
    values = {each["ParameterKey"]: each["ParameterValue"] for each in given}
    names = {
        "PROVIDER_ONLINE_SECONDS": "ProviderOnlineSeconds",
        "ALLOW_PRIVATE_PROVIDERS": "AllowPrivateProviders",
    }
    return CatalogSettings.read({variable: values.get(name, "") for variable, name in names.items()})


@contextmanager
def refusals_in_words() -> Iterator[None]:
    """Ends the command with one line if AWS refuses or does not answer."""
    # Other languages' SDKs read AWS_REGION; botocore reads only the older name.
    if region := os.environ.get("AWS_REGION"):
        os.environ.setdefault("AWS_DEFAULT_REGION", region)
    try:
        yield
    except aws.StoreError as error:
        name = aws.error_code(error) or type(error).__name__
        fail(f"{_IN_WORDS.get(name, 'AWS refused or failed')} [{name}]")


def _table(variable: str, output: str, stack: str | None) -> str:
    if stack:
        found = _outputs(stack).get(output)
        return found or fail(f"the stack {stack} has no output {output}: check that it is an stt-gateway")
    return os.environ.get(variable) or fail(f"give --stack NAME, or set {variable}")


def _outputs(stack: str) -> dict[str, str]:
    return {each["OutputKey"]: each["OutputValue"] for each in _described(stack).get("Outputs", [])}


def _described(stack: str) -> dict[str, Any]:
    (described,) = aws.client("cloudformation").describe_stacks(StackName=stack)["Stacks"]
    return dict(described)
