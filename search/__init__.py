"""Which fine-tunes to run, and what they mean."""
