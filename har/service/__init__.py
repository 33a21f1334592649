"""The running service: the pipeline, the processes of the cameras, the wiring."""
