"""A session's story as a file: each format is a generator of pieces, so that writing can pause and stop."""
