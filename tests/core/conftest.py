"""Few examples by default, so that all of this takes seconds; ``HYPOTHESIS_PROFILE=nightly`` looks longer."""

import os

from hypothesis import HealthCheck, settings

_quiet = [HealthCheck.too_slow]
settings.register_profile("core", max_examples=25, deadline=None, suppress_health_check=_quiet, derandomize=True)
settings.register_profile("nightly", max_examples=2_000, deadline=None, suppress_health_check=_quiet)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "core"))
