"""Metrics of Meltano runs for Prometheus: see `handler.RunMetrics`."""
