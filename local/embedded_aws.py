"""An AWS on this machine: moto's server, holding what `template.yaml` declares.

moto loses updates when two requests run at once (3 of 1500 counter increments), so one lock around its WSGI
application lets in one request at a time. It enforces neither IAM nor TTL nor throttling.
"""

import argparse
import io
import logging
import signal
import socket
import threading
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

from server.lifeline import end_with_parent
from server.listener import HOST, listener_of
from server.origins import OwnCallersOnly
from server.template import REGION, Template

CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "local",
    "AWS_SECRET_ACCESS_KEY": "local",
    "AWS_SESSION_TOKEN": "",
    "AWS_DEFAULT_REGION": REGION,
    "AWS_REGION": REGION,
    "AWS_EC2_METADATA_DISABLED": "true",
}

# A container's name for this machine (docs/sam-local.md).
HOST_OF_CONTAINERS = "host.docker.internal"

Client = Any  # an AWS client; it gets its methods at run time


class Clients(Protocol):
    """Makes a client for a service's name, as `boto3.client` does."""

    def __call__(self, service: str) -> Client: ...


def create_resources(template: Template, client: Clients) -> None:
    """Creates the template's tables, buckets, queues and keys with the given clients."""
    for name, properties in template.resources("AWS::DynamoDB::Table"):
        _create_table(client("dynamodb"), template.physical_name(name), properties)
    for name, _ in template.resources("AWS::S3::Bucket"):
        client("s3").create_bucket(Bucket=template.physical_name(name))
    for name, properties in template.resources("AWS::SQS::Queue"):
        attributes = {key: str(value) for key, value in properties.items() if isinstance(value, int | str)}
        client("sqs").create_queue(QueueName=template.physical_name(name), Attributes=_sqs(attributes))
    for name, properties in template.resources("AWS::KMS::Key"):
        key = client("kms").create_key(Description=properties.get("Description", ""))
        client("kms").create_alias(
            AliasName=template.physical_name(name), TargetKeyId=key["KeyMetadata"]["KeyId"]
        )


def _create_table(dynamodb: Client, name: str, properties: Mapping[str, Any]) -> None:
    wanted = (
        "AttributeDefinitions",
        "KeySchema",
        "BillingMode",
        "GlobalSecondaryIndexes",
        "LocalSecondaryIndexes",
    )
    arguments = {key: properties[key] for key in wanted if key in properties}
    if "StreamSpecification" in properties:
        # CloudFormation gives only the view; the API also needs StreamEnabled.
        arguments["StreamSpecification"] = {"StreamEnabled": True, **properties["StreamSpecification"]}
    dynamodb.create_table(TableName=name, **arguments)
    if "TimeToLiveSpecification" in properties:
        dynamodb.update_time_to_live(
            TableName=name, TimeToLiveSpecification=properties["TimeToLiveSpecification"]
        )


def _sqs(properties: Mapping[str, str]) -> dict[str, str]:
    """Queue attributes with the same name in the API. No redrive: dead letters need AWS's clock."""
    known = ("MessageRetentionPeriod", "VisibilityTimeout", "DelaySeconds", "ReceiveMessageWaitTimeSeconds")
    return {key: properties[key] for key in known if key in properties}


class OneAtATime:
    """A WSGI application that serves one request at a time."""

    def __init__(self, application: Callable[..., Iterable[bytes]]) -> None:
        self._application = application
        self._lock = threading.Lock()

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        length = environ.get("CONTENT_LENGTH", "")
        if length.isdecimal():
            # Read before taking the lock: a slow sender must not delay the others.
            environ["wsgi.input"] = io.BytesIO(environ["wsgi.input"].read(int(length)))
        with self._lock:
            return list(self._application(environ, start_response))


def _listening(listener: socket.socket) -> int:
    # werkzeug does not call listen() on a socket passed to it.
    listener.listen(128)
    return listener.detach()


class EmbeddedAws:
    """moto's server on a local port, with the template's resources in it."""

    def __init__(self, listener: socket.socket) -> None:
        # Imported here: they take more than a second, and clients of this AWS need neither.
        from moto.moto_server.werkzeug_app import (
            DomainDispatcherApplication,
            MotoRequestHandler,
            create_backend_app,
        )
        from werkzeug.serving import make_server

        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        address, port = listener.getsockname()
        # moto lets pages of any origin read everything; these tables hold keys.
        application = OwnCallersOnly(
            OneAtATime(DomainDispatcherApplication(create_backend_app)),
            frozenset({address, HOST_OF_CONTAINERS}),
        )
        self._server = make_server(
            HOST,
            port,
            application,
            threaded=True,
            request_handler=MotoRequestHandler,
            fd=_listening(listener),
        )
        self.endpoint = f"http://{HOST}:{port}"

    def start(self) -> None:
        """Serves in a thread."""
        threading.Thread(target=self._server.serve_forever, name="embedded-aws", daemon=True).start()

    def stop(self) -> None:
        """Stops serving and frees the port."""
        self._server.shutdown()
        self._server.server_close()


def client_of(endpoint: str) -> Clients:
    """Makes AWS clients for the embedded AWS at an address."""
    import botocore.session  # the server itself does not need it

    session = botocore.session.get_session()

    def client(service: str) -> Client:
        return session.create_client(
            service,
            endpoint_url=endpoint,
            region_name=REGION,
            aws_access_key_id=CREDENTIALS["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
        )

    return client


def main() -> None:
    """`python -m local.embedded_aws --port N`: an empty AWS until it is told to stop."""
    parser = argparse.ArgumentParser(prog="local.embedded_aws", description=__doc__)
    parser.add_argument("--fd", type=int)
    parser.add_argument("--lifeline", action="store_true")
    arguments = parser.parse_args()
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    if arguments.lifeline:
        end_with_parent()
    aws = EmbeddedAws(listener_of(arguments.fd))
    aws.start()
    stopped.wait()
    aws.stop()


if __name__ == "__main__":
    main()
