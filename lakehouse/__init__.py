"""Great Britain's regional carbon intensity as a Delta lakehouse, from API bytes to PostgreSQL."""

__version__ = "0.1.0"
