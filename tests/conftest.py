"""What holds for all tests."""

import os

from hypothesis import settings

# No deadline: a machine that is busy for a moment is no defect. The gate runs the same examples
# each time, so that it fails for a change and not for a dice; elsewhere the examples are new ones.
settings.register_profile("house", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("house")
