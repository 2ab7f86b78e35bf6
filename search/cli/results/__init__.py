"""Verbs that show and check what a study found."""
