"""``lakehouse report``: what one state of the lake shows, as one HTML page that needs nothing else."""
