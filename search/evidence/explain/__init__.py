"""What each subset, each pair and each element is worth, how sure that is, and which trials would make it surer."""
