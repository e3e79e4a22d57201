"""`python -m sitewise` is the command line."""

from .cli import main

main()
