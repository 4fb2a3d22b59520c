"""Programme registers: trainings, handbooks, points of entry, victim support, plan tasks, and published statements.

Belongs here: reading what projects and ministries fill in. Does not belong here: DHIS2, bulletins, surveys.
"""
