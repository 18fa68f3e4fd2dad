"""A writer in a process of its own: commits to a table in an object store, again and again, each under the lease.

    python -m tests.support.lease_writer TERM COMMITS

``LAKEHOUSE_ROOT`` names the lake. Prints a line of JSON for each commit that it knows to have made.
"""

import json
import sys
import time
from dataclasses import replace

from lakehouse import settings
from lakehouse.errors import LakeLockedError
from lakehouse.lake import delta_log
from lakehouse.lake.commits import Commit
from lakehouse.lake.locking import locked

TABLE = "events"
IN_A_LEASE = 3
"""Commits."""


def main() -> None:
    term, wanted = float(sys.argv[1]), int(sys.argv[2])
    chosen = settings.load()
    chosen = chosen.model_copy(update={"s3": chosen.s3.model_copy(update={"lease_seconds": term})})
    made = 0
    while made < wanted:
        try:
            with locked(chosen) as hold:
                for _ in range(min(IN_A_LEASE, wanted - made)):
                    name = f"{hold.generation}-{made}"
                    commit = replace(Commit("event", name, "", ""), generation=hold.generation)
                    hold.check()
                    version = delta_log.append(chosen.path(TABLE), [{"event": name}], commit.to_json())
                    made += 1
                    print(json.dumps({"version": version, "event": name}), flush=True)
        except LakeLockedError:
            time.sleep(0.1)


if __name__ == "__main__":
    main()
