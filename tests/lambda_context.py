"""What the Lambda runtime passes to a handler besides the event."""

import time
from dataclasses import dataclass, field


@dataclass(frozen=True)
class LambdaContext:
    """A function's context; it has `seconds` left when it is made."""

    function_name: str = "f"
    seconds: float = 28.0
    aws_request_id: str = "r"
    memory_limit_in_mb: int = 512
    invoked_function_arn: str = "arn"
    _began: float = field(default_factory=time.monotonic)

    def get_remaining_time_in_millis(self) -> int:
        """Milliseconds until Lambda would end the function."""
        return max(int((self._began + self.seconds - time.monotonic()) * 1000), 0)
