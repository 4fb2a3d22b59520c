"""Registers of victim support: a source of its own, whose inbox, landing and store lie apart from all others.

Belongs here: declaring its assets. Does not belong here: reading a register (`assets.programme.read`), the store (`warehouse.victims`).
"""
