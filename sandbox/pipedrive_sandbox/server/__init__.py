"""The HTTP server around the API: access, limits, faults on demand, controls."""
