"""The commands as functions. Arguments are those of the command line; ``None`` leaves a flag out."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Iterable, List, Mapping, Optional, Sequence, Union

from ._command import run
from ._types import Audit, AuditRow, Bound, Check, Counts, Outcome, Suite, Token, Verdict, Witness

#: A token by its text, its id, or its bytes.
TokenName = Union[str, int, bytes]
#: Decimals are exact as texts: ``"0.2"`` is one fifth. A float is taken as it prints.
Number = Union[str, float]
PathLike = Union[str, Path]


def check(
    token: TokenName,
    threshold: Number,
    *,
    model: Optional[PathLike] = None,
    prefix: Optional[str] = None,
    max_len: Optional[int] = None,
    time: Optional[float] = None,
    threads: Optional[int] = None,
    seed: Optional[int] = None,
    certificate: Optional[PathLike] = None,
) -> Check:
    """Proves or refutes that no prefix drives P(token) above the threshold."""
    flags = _common(model, prefix, max_len, time, threads, seed)
    document = run(["check", *_token(token), *_flag("threshold", threshold), *flags, *_flag("certificate", certificate)])
    return Check(
        **_bound(document),
        verdict=Verdict(document["verdict"]),
        threshold=document["threshold"],
        certificate=_path(document["certificate"]),
        statement=_path(document["statement"]),
    )


def bound(
    token: TokenName,
    *,
    gap: Optional[Number] = None,
    model: Optional[PathLike] = None,
    prefix: Optional[str] = None,
    max_len: Optional[int] = None,
    time: Optional[float] = None,
    threads: Optional[int] = None,
    seed: Optional[int] = None,
) -> Bound:
    """Encloses the greatest probability that a prefix can give the token."""
    flags = _common(model, prefix, max_len, time, threads, seed)
    return Bound(**_bound(run(["bound", *_token(token), *_flag("gap", gap), *flags])))


def search(
    token: TokenName,
    *,
    model: Optional[PathLike] = None,
    prefix: Optional[str] = None,
    max_len: Optional[int] = None,
    time: Optional[float] = None,
    threads: Optional[int] = None,
    seed: Optional[int] = None,
) -> Bound:
    """Looks for a prefix after which the token is as likely as possible."""
    flags = _common(model, prefix, max_len, time, threads, seed)
    return Bound(**_bound(run(["search", *_token(token), *flags])))


def audit(
    thresholds: Iterable[Number] = ("0.2",),
    *,
    model: Optional[PathLike] = None,
    token_ids: Optional[str] = None,
    prefix: Optional[str] = None,
    max_len: Optional[int] = None,
    time: Optional[float] = None,
    threads: Optional[int] = None,
    seed: Optional[int] = None,
    certificates: Optional[PathLike] = None,
) -> Audit:
    """Answers for every token of the vocabulary, or for ``token_ids`` such as ``"0-31,71"``."""
    listed = ",".join(map(str, thresholds))
    flags = _common(model, prefix, max_len, time, threads, seed)
    flags += _flag("token-ids", token_ids) + _flag("certificates", certificates)
    document = run(["audit", *_flag("threshold", listed), *flags])
    rows = [
        AuditRow(
            id=row["id"],
            text=row["text"],
            lower=row["lower"],
            upper=row["upper"],
            witness=row["witness"],
            prover=row["prover"],
            verdicts={threshold: Verdict(word) for threshold, word in row["verdicts"].items()},
        )
        for row in document["tokens"]
    ]
    summary = {
        threshold: Counts(counts["proved"], counts["refuted"], counts["unknown"])
        for threshold, counts in document["summary"].items()
    }
    return Audit(document["model"], rows, summary, document["mean_gap"], document["seconds"])


def prove(suite: PathLike, *, certificates: Optional[PathLike] = None, fresh: bool = False) -> Suite:
    """Decides every statement of a suite and writes certificates."""
    fresh_flag = ["--fresh"] if fresh else []
    return _suite(run(["prove", str(suite), *_flag("certificates", certificates), *fresh_flag]))


def ci(suite: PathLike, *, certificates: Optional[PathLike] = None, out: Optional[PathLike] = None) -> Suite:
    """Checks the certificates of a suite and proves again only what changed."""
    return _suite(run(["ci", str(suite), *_flag("certificates", certificates), *_flag("out", out)]))


def _flag(name: str, value: Optional[object]) -> List[str]:
    # One word, so that a value that begins with a minus sign stays a value.
    return [] if value is None else [f"--{name}={value}"]


def _common(
    model: Optional[PathLike],
    prefix: Optional[str],
    max_len: Optional[int],
    time: Optional[float],
    threads: Optional[int],
    seed: Optional[int],
) -> List[str]:
    named: Sequence[tuple[str, object]] = [
        ("model", model),
        ("prefix", prefix),
        ("max-len", max_len),
        ("time", time),
        ("threads", threads),
        ("seed", seed),
    ]
    return [word for name, value in named for word in _flag(name, value)]


def _token(token: TokenName) -> List[str]:
    if isinstance(token, int):
        return _flag("token-id", token)
    if isinstance(token, bytes):
        return _flag("token-bytes", token.hex())
    return _flag("token", token)


def _path(text: Optional[str]) -> Optional[Path]:
    return None if text is None else Path(text)


def _bound(document: Mapping[str, Any]) -> dict[str, Any]:
    found = document["witness"]
    witness = found and Witness(found["ids"], found["text"], tuple(found["probability"]), found["reencodes"])
    return {
        "token": Token(document["token"]["id"], document["token"]["text"]),
        "lower": document["lower"],
        "upper": document["upper"],
        "witness": witness,
        "prover": document["prover"],
        "language": document["language"],
        "model": document["model"],
        "seconds": document["seconds"],
    }


def _suite(document: Mapping[str, Any]) -> Suite:
    outcomes = [
        Outcome(
            name=found["name"],
            claim=found["claim"],
            status=found["status"],
            verdict=Verdict(found["verdict"]),
            expect=Verdict(found["expect"]),
            how=found["how"],
            witness=found["witness"] and found["witness"]["text"],
            certificate=_path(found["certificate"]),
            note=found["note"],
        )
        for found in document["statements"]
    ]
    return Suite(document["suite"], outcomes, document["seconds"])
