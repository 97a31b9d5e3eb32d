"""`python -m admin`, with PYTHONPATH=.:layers/shared."""

from admin.cli import main

main()
