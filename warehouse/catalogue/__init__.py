"""The catalogue judges the data; it is never deduced from it.

Belongs here: TOML and CSV that say which tables, code lists, indicators, regional tables and policies exist, and the
typed loaders that refuse what they do not know. Does not belong here: SQL execution, data.
"""
