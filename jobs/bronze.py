"""`spark-submit --properties-file spark-defaults.conf jobs/bronze.py ...`: the same as `lakehouse bronze ...`."""

from lakehouse.cli import job

if __name__ == "__main__":
    job("bronze")
