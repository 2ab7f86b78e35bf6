"""What to know before a GPU is paid for."""
