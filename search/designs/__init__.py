"""Designs: the papers' controlled experiments as fixed lists of trials, and the tables that judge them."""
