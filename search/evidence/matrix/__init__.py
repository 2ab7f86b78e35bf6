"""The transfer matrix: its cells, their noise and their verdicts."""
