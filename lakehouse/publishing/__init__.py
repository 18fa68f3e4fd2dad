"""Gold into PostgreSQL: staged, applied in one transaction, proven by checksums."""
