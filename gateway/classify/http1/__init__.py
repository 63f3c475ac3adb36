"""HTTP/1.1 to the servers of a classifier, a call for each window if need be: lean, and all of it bounded."""
