"""The shipped backbone, made from nothing."""
