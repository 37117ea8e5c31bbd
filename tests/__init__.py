"""
Tests of itsjustintv.
"""

import os

from hypothesis import HealthCheck, settings

from tests import failures

# How long an example takes says how busy the machine is, not whether the code is right.
settings.register_profile(
    "itsjustintv",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    max_examples=int(os.environ.get("ITSJUSTINTV_EXAMPLES", "100")),
)
settings.load_profile("itsjustintv")
failures.install()
