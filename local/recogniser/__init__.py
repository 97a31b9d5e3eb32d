"""A real speech recogniser (pocketsphinx) behind an OpenAI-shaped server."""
