"""What is told of parts of the questions: classes, strata."""
