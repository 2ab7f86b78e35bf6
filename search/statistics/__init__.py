"""How sure one can be: arrays in, numbers out."""
