"""The only truth of a study."""
