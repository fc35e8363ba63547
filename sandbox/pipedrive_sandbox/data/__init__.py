"""The rooms of the generator: each makes one part of the account."""
