"""Write the metrics of every transcription in embedded metric format."""

import json
import sys

from aws_lambda_powertools.metrics.functions import is_metrics_disabled

from gateway.observability import logger, metrics
from gateway.usage.record import REPORTED, UNKNOWN, Record


def report(record: Record) -> None:
    """Write one embedded-metrics line. Names come from closed sets, never from user input. Raises nothing, because
    the answer and its record must not depend on metrics."""
    try:
        _report(record)
    except Exception as error:
        logger.error("metrics were not written", extra={"kind": type(error).__name__})


def _report(record: Record) -> None:
    counts = {"Requests": 1, "BilledSeconds": record.billed_seconds}
    if record.error_type:
        counts[f"Error.{record.error_type}"] = 1
    for attempt in record.attempts:
        name = f"Attempt.{attempt.outcome}"
        counts[name] = counts.get(name, 0) + 1
    if record.bytes and record.duration.source in (UNKNOWN, REPORTED):
        counts["UnmeasuredAudio"] = 1
    if record.duration.provider_seconds is not None:
        counts["DisagreeingDuration"] = 1
    if record.faults:
        counts["ImpossibleTimings"] = 1
        logger.warning(
            "timings that cannot be true were left out",
            extra={"lists": record.faults, "provider": record.provider, "service": record.service},
        )
    if is_metrics_disabled():
        return
    values = {name: {"Unit": "Count", "Value": [float(count)]} for name, count in counts.items()}
    values["Latency"] = {"Unit": "Milliseconds", "Value": [float(record.latency_ms)]}
    # Not `add_metric` and `flush_metrics`, which keep values that threads would share.
    line = metrics.provider.serialize_metric_set(values)
    sys.stdout.write(json.dumps(line, separators=(",", ":")) + "\n")
