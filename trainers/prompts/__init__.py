"""From a stored sample to tokens."""
