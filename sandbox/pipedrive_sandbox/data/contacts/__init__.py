"""Organizations and persons, and who follows or relates to whom."""
