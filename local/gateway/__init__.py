"""The gateway on plain HTTP, with its functions' event sources."""
