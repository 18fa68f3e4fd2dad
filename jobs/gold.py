"""`spark-submit --properties-file spark-defaults.conf jobs/gold.py ...`: the same as `lakehouse gold ...`."""

from lakehouse.cli import job

if __name__ == "__main__":
    job("gold")
