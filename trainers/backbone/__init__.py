"""The model and the adapters on it."""
