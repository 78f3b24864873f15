#!/usr/bin/env python3
"""Trains variants of one small model on the same data and measures how much can be proved of each.

    cargo build --release && cargo build --release -p llmprove-proofs -p llmprove-train
    models/train/fetch-text.sh
    models/train/verifiability.py target/verifiability > tables.md

Every variant sees the same number of batches of the same text, and its audit gets the same time, counted in CPU seconds of one
thread (see cpu_clock.c; Linux with a C compiler). Folders and measurements that exist are kept, so a run can be cut short and
continued. See docs/guide/verifiability.md for results.
"""

import argparse
import json
import os
import re
import resource
import statistics
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
THRESHOLDS = [0.05, 0.1, 0.2, 0.5]
# Tokens that are put to `check` at 0.5 once more: rare ones.
AGAIN = [8, 16, 24, 32, 40, 48]

# Name -> flags of llmprove-train.
VARIANTS = {
    "plain": [],
    "value-myopic": ["--value-myopic"],
    "attention-only": ["--attention-only"],
    "width 8": ["--width", "8", "--neurons", "32"],
    "width 32": ["--width", "32", "--neurons", "128"],
    "16 neurons": ["--neurons", "16"],
    "128 neurons": ["--neurons", "128"],
    "2 heads": ["--heads", "2"],
    "4 heads": ["--heads", "4"],
    "context 8": ["--context", "8"],
    "context 32": ["--context", "32"],
    "2 layers": ["--layers", "2"],
    "2 layers, value-myopic": ["--layers", "2", "--value-myopic"],
    "2 layers, width 8": ["--layers", "2", "--width", "8", "--neurons", "32"],
}
# How often a variant is trained, with seeds from 1 on; others once.
SEEDS = {"plain": 2, "value-myopic": 2, "2 layers": 2, "2 layers, value-myopic": 2}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path, help="folder for models, certificates and measurements")
    parser.add_argument("--bin", type=Path, default=ROOT / "target/release")
    parser.add_argument("--text", type=Path, default=ROOT / "target/text/moby-dick.txt")
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--time", type=float, default=12.0, help="CPU seconds per audit")
    parser.add_argument("--train-only", action="store_true")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    clock = args.out / "cpu_clock.so"
    source = ROOT / "models/train/cpu_clock.c"
    subprocess.run(["cc", "-O2", "-shared", "-fPIC", "-o", clock, source, "-ldl"], check=True)
    args.environment = {**os.environ, "LD_PRELOAD": str(clock)}

    runs = [(name, seed) for seed in range(1, 3) for name in VARIANTS if seed <= SEEDS.get(name, 1)]
    for name, seed in runs:
        train(args, name, seed)
    if args.train_only:
        return
    rows = [measure(args, name, seed) for name, seed in runs]
    print_tables(sorted(rows, key=lambda row: list(VARIANTS).index(row["name"])), args)


def folder(args, name, seed):
    return args.out / f"{re.sub('[^a-z0-9]+', '-', name)}-{seed}"


def train(args, name, seed):
    """Trains one variant; `log` keeps its losses and its number of parameters."""
    out = folder(args, name, seed)
    if (out / "log").exists():
        return
    print(f"training {out.name}", file=sys.stderr, flush=True)
    flags = ["--seed", str(seed), "--steps", str(args.steps), "--out", out, "--text", args.text]
    command = [args.bin / "llmprove-train", "moby-l1", *VARIANTS[name], *flags]
    # Products this small are slower on several threads, and no different.
    environment = {**os.environ, "RAYON_NUM_THREADS": "1"}
    log = subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout
    (out / "log").write_text(log)


def measure(args, name, seed):
    """An audit of all tokens, every certificate of a proof checked, and some proofs once more, one at a time."""
    out = folder(args, name, seed)
    kept = out / "measured.json"
    if kept.exists():
        return json.loads(kept.read_text())
    print(f"measuring {out.name}", file=sys.stderr, flush=True)
    log = (out / "log").read_text()
    certificates = out / "certificates"
    thresholds = ",".join(map(str, THRESHOLDS))
    flags = ["--threshold", thresholds, "--time", str(args.time), "--certificates", certificates]
    audit, _ = llmprove(args, out, "audit", *flags)
    proofs = {}
    for token in audit["tokens"]:
        proved = [p for p, verdict in token["verdicts"].items() if verdict == "proved"]
        for threshold in proved[:1]:  # The others follow.
            certificate = certificates / f"token-{token['id']}-at-{threshold}.json"
            statement = certificate.with_suffix(".statement.json")
            files = ["--model", out, "--statement", statement, "--certificate", certificate]
            result, seconds = timed([args.bin / "llmprove-check", *files], os.environ)
            if result.returncode != 0:
                sys.exit(f"the checker rejects {certificate}: {result.stdout}{result.stderr}")
            proofs[str(token["id"])] = {"bytes": certificate.stat().st_size, "checking": seconds}
    for token in AGAIN:
        flags = ["--token-id", str(token), "--threshold", "0.5", "--time", "3"]
        run, seconds = llmprove(args, out, "check", *flags)
        proofs.setdefault(str(token), {})["again"] = {"verdict": run["verdict"], "seconds": seconds}
    row = {
        "name": name,
        "seed": seed,
        "parameters": int(re.search(r"(\d+) parameters", log).group(1)),
        "loss": float(re.search(r"validation loss: ([\d.]+)", log).group(1)),
        "tokens": audit["tokens"],
        "proofs": proofs,
    }
    kept.write_text(json.dumps(row, indent=1))
    return row


def llmprove(args, model, command, *flags):
    """The document that a command prints, and its CPU seconds."""
    flags = ["--model", model, *flags, "--threads", "1", "--json"]
    run, seconds = timed([args.bin / "llmprove", command, *flags], args.environment)
    if run.returncode == 2:
        sys.exit(run.stderr)
    return json.loads(run.stdout), seconds


def timed(command, environment):
    """The finished process and its CPU seconds."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    run = subprocess.run(command, capture_output=True, text=True, env=environment)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return run, after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def print_tables(rows, args):
    print(f"{args.steps} steps; audits of all tokens in {args.time:g} CPU seconds\n")
    head = ["model", "seed", "parameters", "loss", "mean gap", *(f"decided at {p:g}" for p in THRESHOLDS)]
    table(head, [summary(row) for row in rows])
    proved = [f"proved at {p:g}" for p in THRESHOLDS]
    head = ["model", "seed", *proved, "by the head", "certificate, bytes", "check, CPU s", "proof, CPU s"]
    table(head, map(cost, rows))


def summary(row):
    tokens = row["tokens"]
    shares = [statistics.mean(t["verdicts"][f"{p:g}"] != "unknown" for t in tokens) for p in THRESHOLDS]
    gap = statistics.mean(t["upper"] - t["lower"] for t in tokens)
    losses = [row["name"], row["seed"], row["parameters"], f"{row['loss']:.3f}", f"{gap:.3f}"]
    return [*losses, *(f"{100 * share:.0f} %" for share in shares)]


def cost(row):
    tokens = row["tokens"]
    counts = [sum(t["verdicts"][f"{p:g}"] == "proved" for t in tokens) for p in THRESHOLDS]
    proofs = [p for p in row["proofs"].values() if "bytes" in p]
    by_head = sum(t["prover"] == "head" for t in tokens if str(t["id"]) in row["proofs"])
    again = [p["again"] for p in row["proofs"].values() if "again" in p]
    seconds = [run["seconds"] for run in again if run["verdict"] == "proved"]
    alone = f"{statistics.mean(seconds):.3f} ({len(seconds)} of {len(again)})" if seconds else "-"
    sizes = statistics.mean(p["bytes"] for p in proofs) if proofs else 0
    checking = statistics.mean(p["checking"] for p in proofs) if proofs else 0
    return [row["name"], row["seed"], *counts, by_head, f"{sizes:.0f}", f"{checking:.3f}", alone]


def table(head, rows):
    for line in [head, ["---"] * len(head), *rows]:
        print("|", " | ".join(map(str, line)), "|")
    print()


if __name__ == "__main__":
    main()
