"""OpenLineage events of a run and its stages. Where they are off, nothing of OpenLineage is imported."""

from lakehouse.run_record import Observers, RunObserver
from lakehouse.settings import Settings


def observed(settings: Settings, observer: RunObserver) -> RunObserver:
    """The observer, and beside it one that sends lineage events where the settings want them.

    Raises:
        UsageError: the server's address or the file with its key cannot be used.
    """
    if settings.lineage.transport == "off":
        return observer
    from lakehouse.lineage.observer import LineageObserver  # with requests: a third of a second

    return Observers(observer, LineageObserver(settings))
