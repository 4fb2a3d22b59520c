"""Registers of counts: trainings, handbooks, points of entry, plan tasks, published statements; and, a source apart, victim support.

Belongs here: reading what projects and ministries fill in. Does not belong here: DHIS2, bulletins, surveys.
"""
