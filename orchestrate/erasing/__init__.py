"""The right to be forgotten: a person leaves the warehouse, and the figures stay."""
