"""`spark-submit --properties-file spark-defaults.conf jobs/export.py ...`: the same as `lakehouse export ...`."""

import sys

from lakehouse.cli import main

if __name__ == "__main__":
    main(["export", *sys.argv[1:]])
