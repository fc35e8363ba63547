"""What runs the pipeline: `make run` and its relatives, and what each of its Meltano processes does first."""
