"""Parts that `make run` adds to the gateway: embedded AWS, a speech recogniser, demo users."""
