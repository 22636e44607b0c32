"""One RE2 expression for secrets and personal data together, so that a scan asks once."""

from __future__ import annotations

from runner.data.patterns.pattern import prefilter
from runner.data.patterns.pii import PII
from runner.data.patterns.secrets import ASSIGNED, SECRETS

PREFILTER = prefilter((*SECRETS.values(), *ASSIGNED.values(), *PII.values()))
