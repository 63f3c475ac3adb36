"""For every test."""

import gateway  # noqa: F401 - sets what must be set before anybody imports numpy
