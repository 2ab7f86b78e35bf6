"""What the data is: keys, samples, catalogs, readers and the store."""
