"""Logs and metrics: never a key, a prompt, a transcript, a filename or an address."""

from aws_lambda_powertools import Logger, Metrics

logger = Logger(utc=True)
metrics = Metrics()
