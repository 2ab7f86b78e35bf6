"""What the trials show, as data."""
