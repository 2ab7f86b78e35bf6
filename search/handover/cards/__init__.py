"""What others need to know of a selection: where its rows come from, under which terms, and how good its adapter is."""
