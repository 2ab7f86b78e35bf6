"""Published results, as data, and what can be concluded from them."""
