"""One trial, as data and as a folder."""
