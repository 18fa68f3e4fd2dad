"""The groups of ages in which revisions are counted."""

AGES = (0, 1, 6, 12, 24, 48)
"""Lower ends of the groups, hours after the half-hour's start; below the first: forecast ahead."""
