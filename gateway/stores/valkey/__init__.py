"""Sessions, tickets, streams and nodes in Valkey (or Redis from 7.0 on), shared by any number of gateways.

What has to be one step is one function on the server (`functions`). A session's keys share a hash tag,
and so do a tenant's, so that all of it works on a cluster: no step needs two tags.
"""
