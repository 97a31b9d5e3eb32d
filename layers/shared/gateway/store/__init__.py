"""What the gateway keeps in AWS: the only package that imports botocore, one module per table or service."""
