"""From YAML text to a model, every mistake at its line and column."""
