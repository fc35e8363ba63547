"""The Monday review: what moved in the pipeline last week, and what has to be done by each owner."""
