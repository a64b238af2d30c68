"""Memory: one truth in PostgreSQL, found again by meaning and by word, deleted for certain."""
