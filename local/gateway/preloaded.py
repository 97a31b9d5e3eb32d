"""What the fork server does once for all environments: AWS clients, whose service models take 0.1 to 0.4 s to read.

Lambda's SnapStart does the same to a function. No connection is open yet, so a fork shares none.
"""

from gateway.store.dynamodb import aws

for service in ("dynamodb", "kms", "sqs"):
    aws.client(service)
