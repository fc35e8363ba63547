"""The right to be forgotten: a person is removed from the warehouse, and the figures stay."""
