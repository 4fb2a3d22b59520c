"""THE CLOCK: when things run, and with what. The only room that reads the environment and the settings.

Belongs here: settings, resources, jobs, schedules, checks, the `mhwg` command. Does not belong here: what is made
(`assets`), what is believed (`expectations`), SQL (`warehouse`), arithmetic (`methods`).
"""
