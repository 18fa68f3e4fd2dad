"""Great Britain's regional carbon intensity as a Delta lakehouse, from API bytes to PostgreSQL.

For Python and notebooks: ``lakehouse.open_lake()``.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lakehouse.dataset import open_lake as open_lake

__version__ = "0.1.0"
__all__ = ["__version__", "open_lake"]


def __getattr__(name: str) -> object:
    """What loads Arrow and Delta is imported when it is asked for: the command's help needs neither."""
    if name == "open_lake":
        from lakehouse.dataset import open_lake

        return open_lake
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
