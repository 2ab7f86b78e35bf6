"""A Gaussian process over compositions and targets: what all trials together say about those not run."""
