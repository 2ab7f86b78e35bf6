"""A study's rows in shared memory, and batches from them."""
