"""Images from disk, distrusted."""
