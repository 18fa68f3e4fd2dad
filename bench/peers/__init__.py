"""The same work by other tools: raw responses in files, half-hours and days out. Each module is a program of its own.

``python -m bench.peers.NAME RESPONSES INTO`` reads the folder RESPONSES, one response a file, and writes the tables
``silver`` and ``gold`` under INTO: one row per (regionid, timestamp), where the newest file wins, and one per
(regionid, date_recorded), with the values that the lakehouse's own tables have.
"""
