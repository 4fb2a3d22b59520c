"""THE STORE: what exists, what it means, how it leaves. The only room that knows DuckDB.

Belongs here: the catalogue, DDL, bitemporal history, landing, the load transaction, the indicator engine, publishing.
Does not belong here: HTTP, settings, Dagster, Great Expectations, arithmetic (see `methods`).
"""
