"""Images that show one picture."""
