"""The packages of the generator, each of which makes one part of the account."""
