"""The study file, and the directory it runs in."""
