"""The Delta tables of a lake: declared once, one door to write them, and what their commits prove."""
