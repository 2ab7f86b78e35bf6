"""`make bench-trials`: what a trial costs under each executor, all sides in one run."""
