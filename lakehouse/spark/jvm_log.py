"""What Spark and Delta log, passed on from the JVM's stderr into our own log.

``conf/log4j2-lines.properties`` gives each record one line: a mark, the level, the class, the message and what was
thrown, with tabs between. The JVM has no file of its own: two programs cannot rotate one file.
"""

import logging

from lakehouse.logs import TOLD

log = logging.getLogger(__name__)

MARK = "lakehouse-log\t"
LEVELS = {"FATAL": logging.CRITICAL, "ERROR": logging.ERROR, "WARN": logging.WARNING}
"""Of Log4j; others are INFO."""


def passed_on(line: str) -> bool:
    """Whether a line of stderr was a record, which then is in the log: in the file alone, not on the terminal."""
    parts = line.rstrip("\n").removeprefix(MARK).split("\t", 3)
    if not line.startswith(MARK) or len(parts) < 4:
        return False
    level, name, message, thrown = parts
    more = {"thrown": thrown} if thrown else {}
    log.log(LEVELS.get(level, logging.INFO), "%s", message, extra={**TOLD, "logger": name, **more})
    return True
