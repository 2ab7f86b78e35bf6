"""What the phantom corpus shows: matched arms and all compositions of eight sources, measured and drawn."""
