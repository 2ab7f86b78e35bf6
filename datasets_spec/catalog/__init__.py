"""Which subsets exist."""
