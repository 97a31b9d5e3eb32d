"""The names of what a data directory holds."""

DATABASE = "gateway.db"
LIMITS = "limits.db"
UPLOADS = "uploads"
KEY = "credentials.key"
