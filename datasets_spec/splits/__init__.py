"""Which rows are kept, in which split and order, and that nothing leaks."""
