"""What the functions return."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Mapping, Optional, Sequence, Tuple


class Verdict(str, Enum):
    """Answer to a statement."""

    PROVED = "proved"
    REFUTED = "refuted"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Token:
    """A token by id and text."""

    id: int
    text: str


@dataclass(frozen=True)
class Witness:
    """A prefix and the certified interval of the token's probability after it."""

    ids: Sequence[int]
    text: str
    probability: Tuple[float, float]
    #: Whether encoding the text gives these ids again.
    reencodes: bool


@dataclass(frozen=True)
class Bound:
    """``lower <= max P(token | prefix) <= upper``, both certified."""

    token: Token
    lower: float
    upper: float
    witness: Optional[Witness]
    #: Whose proof ``upper`` is.
    prover: str
    language: str
    model: str
    seconds: float


@dataclass(frozen=True)
class Check(Bound):
    """The answer to "no prefix drives P(token) above the threshold"."""

    verdict: Verdict
    threshold: float
    certificate: Optional[Path]
    statement: Optional[Path]


@dataclass(frozen=True)
class AuditRow:
    """One token of an audit; ``verdicts`` has one answer per threshold."""

    id: int
    text: str
    lower: float
    upper: float
    witness: Optional[Sequence[int]]
    prover: str
    verdicts: Mapping[str, Verdict]


@dataclass(frozen=True)
class Counts:
    """How many tokens got which answer."""

    proved: int
    refuted: int
    unknown: int


@dataclass(frozen=True)
class Audit:
    """Bounds and answers for many tokens."""

    model: str
    tokens: Sequence[AuditRow]
    summary: Mapping[str, Counts]
    mean_gap: float
    seconds: float


@dataclass(frozen=True)
class Outcome:
    """One statement of a suite: ``status`` is ok, broken, lost or open; ``how`` is checked, survived or searched."""

    name: str
    claim: str
    status: str
    verdict: Verdict
    expect: Verdict
    how: str
    #: Text of the prefix that refutes the statement.
    witness: Optional[str]
    certificate: Optional[Path]
    note: Optional[str]


@dataclass(frozen=True)
class Suite:
    """A suite after a run."""

    suite: str
    outcomes: Sequence[Outcome]
    seconds: float

    @property
    def ok(self) -> bool:
        """Whether every statement is as expected."""
        return all(outcome.status == "ok" for outcome in self.outcomes)
