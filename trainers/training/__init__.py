"""The loop of one fine-tune, and of several side by side."""
