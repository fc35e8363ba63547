"""The account: its rows, and what happens to them over time."""
