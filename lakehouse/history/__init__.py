"""Looking at a lake and its past."""
