"""`spark-submit --properties-file spark-defaults.conf jobs/run.py ...`: the same as `lakehouse run ...`."""

import sys

from lakehouse.cli import main

if __name__ == "__main__":
    main(["run", *sys.argv[1:]])
