"""One file a kind of design."""
