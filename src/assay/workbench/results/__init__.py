"""What a run gave: cells, scoreboard, verdict, comparisons, exports."""
