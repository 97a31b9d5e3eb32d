"""`gateway-admin`: what operators and administrators do from a terminal."""
