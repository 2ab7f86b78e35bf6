"""Ways to run one trial; all must give the same answer."""
