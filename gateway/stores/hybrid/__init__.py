"""What several nodes share, seen from one of them: what it owns is here, the truth is in the store behind."""
