"""What holds for every test: hypothesis judges what a program says, never how long a loaded machine takes to say it."""

from hypothesis import settings

settings.register_profile("house", deadline=None)
settings.load_profile("house")
