"""Figures about a lake for monitors, in Prometheus' form."""
