"""THE STUDY: arithmetic only. Values or frames in, values or frames out.

Belongs here: intervals, rates, survey estimation, linkage, reconciliation, outliers, DHIS2 expressions and periods,
disclosure. Does not belong here: input and output, the clock, SQL engines, Dagster.
"""
