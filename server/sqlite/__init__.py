"""The embedded store: SQLite adapters of the gateway's ports."""
