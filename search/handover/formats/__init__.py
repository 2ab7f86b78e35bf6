"""One file a trainer: how it takes rows, images and settings."""
