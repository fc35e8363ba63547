"""Dashboards: their definitions, and the outputs made from them."""
