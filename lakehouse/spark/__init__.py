"""The machine beneath: a JDK, the pinned jars and one Spark session a process."""
