"""Slugs, the model ids that callers use."""


def slug_of(model_id: str) -> str:
    """Trim and lower-case a model id (contract section 1)."""
    return model_id.strip().lower()
