"""Classifying by sidecars: processes elsewhere that speak the contract of `gateway.classify.sidecar`."""
