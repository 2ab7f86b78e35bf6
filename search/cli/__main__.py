"""`python -m search.cli` is `recombine`."""

from search.cli import main

main()
