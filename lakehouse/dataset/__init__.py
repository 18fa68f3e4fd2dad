"""A lake for Python and notebooks: pinned, read only, lazy. Reads Delta without a JVM and takes no lock."""

from lakehouse.dataset.lake import Lake, Layer, NoSuchTableError, open_lake
from lakehouse.dataset.moments import Moment
from lakehouse.dataset.regions import Region
from lakehouse.dataset.relation import Relation

__all__ = ["Lake", "Layer", "Moment", "NoSuchTableError", "Region", "Relation", "open_lake"]
