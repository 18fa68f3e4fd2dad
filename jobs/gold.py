"""`spark-submit --properties-file spark-defaults.conf jobs/gold.py ...`: the same as `lakehouse gold ...`."""

import sys

from lakehouse.cli import main

if __name__ == "__main__":
    main(["gold", *sys.argv[1:]])
