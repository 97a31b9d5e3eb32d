"""Creates what `template.yaml` declares in moto, in this process or in a server."""

from collections.abc import Mapping
from typing import Any, Protocol

from tests.template import REGION, Template

CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "local",
    "AWS_SECRET_ACCESS_KEY": "local",
    "AWS_SESSION_TOKEN": "",
    "AWS_DEFAULT_REGION": REGION,
    "AWS_REGION": REGION,
    "AWS_EC2_METADATA_DISABLED": "true",
}

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
        # No redrive: a dead letter would need the day that AWS waits for it.
        seconds = {"MessageRetentionPeriod", "VisibilityTimeout"} & properties.keys()
        attributes = {attribute: str(properties[attribute]) for attribute in seconds}
        client("sqs").create_queue(QueueName=template.physical_name(name), Attributes=attributes)
    for name, properties in template.resources("AWS::KMS::Key"):
        key = client("kms").create_key(Description=properties["Description"])["KeyMetadata"]
        client("kms").create_alias(AliasName=template.physical_name(name), TargetKeyId=key["KeyId"])


def _create_table(dynamodb: Client, name: str, properties: Mapping[str, Any]) -> None:
    arguments = {key: properties[key] for key in ("AttributeDefinitions", "KeySchema", "BillingMode")}
    if "StreamSpecification" in properties:
        # CloudFormation gives only the view; the API also needs StreamEnabled.
        arguments["StreamSpecification"] = {"StreamEnabled": True, **properties["StreamSpecification"]}
    dynamodb.create_table(TableName=name, **arguments)
    if "TimeToLiveSpecification" in properties:
        dynamodb.update_time_to_live(
            TableName=name, TimeToLiveSpecification=properties["TimeToLiveSpecification"]
        )
