"""From a planned trial to its record."""
