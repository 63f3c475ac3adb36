"""Background work on a session's record: exports, reports, summaries, and the tasks that make them."""
