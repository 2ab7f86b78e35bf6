"""The results of a study as files: written, listed with their hashes, computed again."""
