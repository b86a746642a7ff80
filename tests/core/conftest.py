"""How hypothesis runs here: as long as it takes, and without a folder of its own in the checkout."""

from hypothesis import settings

settings.register_profile("core", deadline=None, database=None)
settings.load_profile("core")
