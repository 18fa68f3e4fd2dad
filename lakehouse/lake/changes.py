"""The column of a changeset that says what is to be done with a row, and its values."""

CHANGE = "_change"
INSERT, UPDATE, DELETE = "insert", "update", "delete"
EQUAL = "equal"
"""Of a row that has not to be written; only where asked for."""
