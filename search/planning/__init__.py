"""What a study will cost and be able to see, before it runs."""
