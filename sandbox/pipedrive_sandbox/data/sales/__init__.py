"""Deals and leads: their way through the stages, their line items and changes."""
