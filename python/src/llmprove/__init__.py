"""Proofs and bounds about what a small language model can be made to say.

Every function runs the ``llmprove`` command that this package brings along, waits for it, and returns what it says as
dataclasses. Probabilities are rounded outward: a lower bound is never too large, an upper bound never too small.

>>> import llmprove
>>> llmprove.check("X", "0.2").verdict
<Verdict.PROVED: 'proved'>
"""

from ._command import LlmproveError, executable
from ._functions import audit, bound, check, ci, prove, search
from ._types import (
    Audit,
    AuditRow,
    Bound,
    Check,
    Counts,
    Outcome,
    Suite,
    Token,
    Verdict,
    Witness,
)

__all__ = [
    "Audit",
    "AuditRow",
    "Bound",
    "Check",
    "Counts",
    "LlmproveError",
    "Outcome",
    "Suite",
    "Token",
    "Verdict",
    "Witness",
    "audit",
    "bound",
    "check",
    "ci",
    "executable",
    "prove",
    "search",
]
