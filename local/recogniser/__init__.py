"""A real speech recogniser (pocketsphinx) behind an OpenAI-style server."""
