"""`spark-submit --properties-file spark-defaults.conf jobs/bronze.py ...`: the same as `lakehouse bronze ...`."""

import sys

from lakehouse.cli import main

if __name__ == "__main__":
    main(["bronze", *sys.argv[1:]])
