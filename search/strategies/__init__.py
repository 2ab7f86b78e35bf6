"""How the next trials are chosen: one file a strategy, all behind `interface.Strategy`."""
