"""From Bronze to Silver and Gold: pure layers of DataFrames, and the stages that write what differs."""
