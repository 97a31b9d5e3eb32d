"""The gateway on plain HTTP, with the event sources of its functions."""
