"""Images as they are stored: behind each other in large files, each once, with an index beside every file."""
