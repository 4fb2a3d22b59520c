"""How the store leaves: protection, releases, and one writer per format, all reading the same frozen frames.

Belongs here: everything under `release/<id>/`. Does not belong here: computing figures (`warehouse.indicator_engine`).
"""
