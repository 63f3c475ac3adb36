"""PostgreSQL as what nodes share: all of it, or the audit trail beside another store."""
