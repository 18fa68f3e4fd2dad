"""``lakehouse watch``: one process that keeps Spark warm and does what ``run`` does, again and again."""
