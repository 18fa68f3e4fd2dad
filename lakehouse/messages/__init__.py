"""What is said to people: sentences, tables, progress, and how much of it; texts of others made fit to be shown."""
