"""From answers to outcomes."""
