"""
Tests of itsjustintv.
"""

import os

from hypothesis import HealthCheck, settings

from tests import failures

_EXAMPLES = int(os.environ.get("ITSJUSTINTV_EXAMPLES", "100"))


def examples(number: int) -> int:
    """
    How many examples a test draws that by itself would draw so many, as a property by itself draws 100.
    """
    return max(1, number * _EXAMPLES // 100)


# How long an example takes says how busy the machine is, not whether the code is right.
settings.register_profile(
    "itsjustintv",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    max_examples=_EXAMPLES,
)
settings.load_profile("itsjustintv")
failures.install()
