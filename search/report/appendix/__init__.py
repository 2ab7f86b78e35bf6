"""An appendix for a paper, from the files of a study: methods, tables, checklists to be completed."""
