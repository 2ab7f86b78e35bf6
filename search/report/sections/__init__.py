"""What is read on the page, one file a section."""
