"""What a study found: which case it is, in whose words, and what to do next with its number."""
