"""How one fine-tune runs."""
