"""Whole campaigns (search, confirm, sealed) in worlds whose truth is known, judged by the study's own code."""
