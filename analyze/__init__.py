"""Dashboards: one definition each, and what is made of them."""
