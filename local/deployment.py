"""Builds the application and deploys it to an emulator of AWS with the SAM CLI, as it would be deployed to AWS."""

import os
import platform
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local.ministack import CREDENTIALS, PROGRAMS, without_aws

ROOT = Path(__file__).resolve().parent.parent
SAM = ROOT / ".venv-sam" / "bin" / "sam"
ARCHITECTURE = "arm64" if platform.machine() in ("aarch64", "arm64") else "x86_64"
STACK = "stt-gateway-local"


class CommandFailed(Exception):
    """A command of SAM ended with an error; the message is what it said."""


@dataclass(frozen=True)
class Deployment:
    """A deployed stack: its outputs, and where its API answers."""

    outputs: Mapping[str, str]
    url: str


Run = Callable[[Sequence[str], Mapping[str, str]], None]


def run(command: Sequence[str], environment: Mapping[str, str]) -> None:
    """Runs a command in the project's folder. Raises CommandFailed."""
    done = subprocess.run(  # noqa: S603 - SAM's, with our own arguments
        command, cwd=ROOT, env=dict(environment), capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise CommandFailed(f"{' '.join(command[:2])} failed:\n{done.stdout}\n{done.stderr}")


def sam_environment(**variables: str) -> dict[str, str]:
    """The shell's variables for the SAM CLI, without any AWS account."""
    return {**without_aws(os.environ), **CREDENTIALS, "SAM_CLI_TELEMETRY": "0", **variables}


def build(architecture: str, artifacts: Path, *flags: str, python: Path = PROGRAMS, run: Run = run) -> None:
    """`sam build` into a folder. `python` is a folder with a `python3.13`, which it calls. Raises CommandFailed."""
    command = [
        *(str(SAM), "build", "--parameter-overrides", f"Architecture={architecture}"),
        *("--build-dir", str(artifacts), *flags),
    ]
    run(command, sam_environment(PATH=f"{python}{os.pathsep}{os.environ['PATH']}"))


def deploy(
    endpoint: str, artifacts: Path, *, stack: str = STACK, run: Run = run, **parameters: str
) -> Deployment:
    """`sam deploy` of what `build` made for this machine; creates the stack or updates it. Raises CommandFailed."""
    given = {
        "Architecture": ARCHITECTURE,
        "AllowPrivateProviders": "true",
        "AwsEndpointUrl": endpoint,
        **parameters,
    }
    command = [
        *(str(SAM), "deploy", "--stack-name", stack, "--template-file", str(artifacts / "template.yaml")),
        *("--config-file", str(ROOT / "samconfig.toml")),  # else it is sought beside the built template
        *("--no-confirm-changeset", "--no-fail-on-empty-changeset", "--no-progressbar"),
        *("--parameter-overrides", *(f"{name}={value}" for name, value in given.items())),
    ]
    run(command, sam_environment(AWS_ENDPOINT_URL=endpoint))
    deployment = described(endpoint, stack)
    # It refuses plain HTTP, which is all that the emulator speaks.
    client("s3", endpoint).delete_bucket_policy(Bucket=deployment.outputs["UploadsBucket"])
    return deployment


def described(endpoint: str, stack: str) -> Deployment:
    """The deployed stack."""
    [found] = client("cloudformation", endpoint).describe_stacks(StackName=stack)["Stacks"]
    return Deployment(
        {each["OutputKey"]: each["OutputValue"] for each in found["Outputs"]},
        f"{endpoint}/restapis/{resource(endpoint, stack, 'Api')}/prod/_user_request_",
    )


def resource(endpoint: str, stack: str, name: str) -> str:
    """The physical name or id of a stack's resource."""
    cloudformation = client("cloudformation", endpoint)
    found = cloudformation.describe_stack_resource(StackName=stack, LogicalResourceId=name)
    physical: str = found["StackResourceDetail"]["PhysicalResourceId"]
    return physical


def client(service: str, endpoint: str) -> Any:
    """A client of the emulator."""
    import botocore.session  # it takes long; whoever only builds does not need it

    return botocore.session.get_session().create_client(
        service,
        endpoint_url=endpoint,
        region_name=CREDENTIALS["AWS_REGION"],
        aws_access_key_id=CREDENTIALS["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
    )
