"""Records, and who may see them: what all other rooms speak of."""
