"""What Powertools reads when it is imported, so before any test can set it."""

import os

os.environ.setdefault("POWERTOOLS_SERVICE_NAME", "stt-gateway")
os.environ.setdefault("POWERTOOLS_METRICS_NAMESPACE", "stt-gateway")
