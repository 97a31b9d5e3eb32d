"""Serves the handlers that run on Lambda over plain HTTP."""
