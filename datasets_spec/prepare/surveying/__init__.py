"""Staged rows as columns: read, checked for what is lost, and looked through for what shows the same."""
