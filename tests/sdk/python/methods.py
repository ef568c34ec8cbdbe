"""Proves what each method of the original's SDK does here, one line of JSON for each; see scene.py.

RUNNER_MODULE is a module.
"""

import secrets_methods  # noqa: F401
import analysis_methods  # noqa: F401
import devices_methods  # noqa: F401
import rules_methods  # noqa: F401
