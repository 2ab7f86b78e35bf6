"""How good the search is; nothing but the command line imports it."""
