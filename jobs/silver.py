"""`spark-submit --properties-file spark-defaults.conf jobs/silver.py ...`: the same as `lakehouse silver ...`."""

from lakehouse.cli import job

if __name__ == "__main__":
    job("silver")
