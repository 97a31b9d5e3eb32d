"""Plain HTTP in front of the same handlers that run on Lambda."""
