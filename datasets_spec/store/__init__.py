"""The prepared data."""
