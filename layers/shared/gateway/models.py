"""Models: the ids that callers use, and what an operator declares of a model."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Model:
    """A model of a service. Callers use `slug`; the service uses `served_id`."""

    slug: str
    served_id: str
    features: tuple[str, ...] = ()
    context_length: int | None = None
    display_name: str | None = None


def slug_of(model_id: str) -> str:
    """Trim and lower-case a model id (contract section 1)."""
    return model_id.strip().lower()
