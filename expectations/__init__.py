"""THE SCALES: what we believe about each table. The only room that knows Great Expectations.

Belongs here: suites from the catalogue's structure, beliefs with their `why`, the live DuckDB engine. Does not belong
here: what happens to offending rows (`warehouse.load`), sources (`assets`).
"""
