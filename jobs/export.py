"""`spark-submit --properties-file spark-defaults.conf jobs/export.py ...`: the same as `lakehouse export ...`."""

from lakehouse.cli import job

if __name__ == "__main__":
    job("export")
