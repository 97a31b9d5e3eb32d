"""Logs and metrics, without keys, prompts, transcripts, filenames or addresses."""

from aws_lambda_powertools import Logger, Metrics

logger = Logger(utc=True)
metrics = Metrics()
