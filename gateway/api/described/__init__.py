"""The HTTP API, described for machines (OpenAPI 3.1) and for people, from the declarations that validate."""
