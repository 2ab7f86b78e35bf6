"""What results are computed from beside ledger and answers, kept in the study directory to compute them again."""
