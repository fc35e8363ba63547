"""Programs that run the pipeline: `make run` and similar commands, and the start of each Meltano process."""
