"""What it costs, as ratios to a floor measured in the same run: `python -m benchmarks` prints one table.

Belongs here: measurements. Does not belong here: any bound on seconds in a test; machines differ.
"""
