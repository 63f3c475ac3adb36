"""The sidecar contract, for both of its ends: what goes over the wire, and what it means. Pure."""
