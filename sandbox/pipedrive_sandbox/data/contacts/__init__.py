"""Organizations and persons, with their followers and relationships."""
