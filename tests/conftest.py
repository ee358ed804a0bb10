"""What holds for all tests."""

from hypothesis import settings

# No test is timed: on a busy machine an example may take as long as it likes.
settings.register_profile("relay", deadline=None)
settings.load_profile("relay")
