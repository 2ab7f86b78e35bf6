"""Strategies replayed on tables whose truth is known: what a search of so many trials would have found."""
