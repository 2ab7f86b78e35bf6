"""From files to a store, with Ray Data."""
