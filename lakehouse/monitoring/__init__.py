"""What monitors and operators want to know of a lake: freshness, anomalies, figures in Prometheus' form."""
