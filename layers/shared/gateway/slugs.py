"""Slugs: the model ids that callers use."""


def slug_of(model_id: str) -> str:
    """The model id that callers use: trimmed, lower-cased (contract section 1)."""
    return model_id.strip().lower()
