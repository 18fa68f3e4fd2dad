"""`spark-submit --properties-file spark-defaults.conf jobs/run.py ...`: the same as `lakehouse run ...`."""

from lakehouse.cli import job

if __name__ == "__main__":
    job("run")
