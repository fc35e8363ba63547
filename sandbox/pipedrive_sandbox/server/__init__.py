"""The HTTP server around the API: access, limits, faults on request, controls."""
