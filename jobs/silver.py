"""`spark-submit --properties-file spark-defaults.conf jobs/silver.py ...`: the same as `lakehouse silver ...`."""

import sys

from lakehouse.cli import main

if __name__ == "__main__":
    main(["silver", *sys.argv[1:]])
