"""The AWS that tests share has the resources of the template and loses no write."""

from concurrent.futures import ThreadPoolExecutor

from tests.conftest import TestAws


def test_every_table_has_the_keys_that_the_template_gives_it(embedded_aws: TestAws) -> None:
    dynamodb = embedded_aws.client("dynamodb")
    for name, properties in embedded_aws.template.resources("AWS::DynamoDB::Table"):
        table = dynamodb.describe_table(TableName=embedded_aws.template.physical_name(name))["Table"]
        assert table["KeySchema"] == properties["KeySchema"]


def test_a_function_reaches_its_queue_and_its_key_by_its_own_environment(embedded_aws: TestAws) -> None:
    environment = embedded_aws.environment("TranscribeFunction")
    sqs, kms = embedded_aws.client("sqs"), embedded_aws.client("kms")
    sqs.get_queue_attributes(QueueUrl=environment["USAGE_QUEUE_URL"], AttributeNames=["QueueArn"])
    secret = kms.encrypt(KeyId=environment["CREDENTIALS_KEY_ID"], Plaintext=b"a secret")["CiphertextBlob"]
    assert kms.decrypt(CiphertextBlob=secret)["Plaintext"] == b"a secret"


def test_no_update_is_lost_when_many_write_at_once(embedded_aws: TestAws) -> None:
    dynamodb = embedded_aws.client("dynamodb")
    table = embedded_aws.template.reference("KeysTable")
    key = {"pk": {"S": "a counter of this test"}, "sk": {"S": "counter"}}

    def count(_: int) -> None:
        dynamodb.update_item(
            TableName=table,
            Key=key,
            UpdateExpression="ADD amount :one",
            ExpressionAttributeValues={":one": {"N": "1"}},
        )

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(count, range(200)))
    assert dynamodb.get_item(TableName=table, Key=key)["Item"]["amount"] == {"N": "200"}
