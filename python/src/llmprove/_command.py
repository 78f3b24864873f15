"""Runs the command and reads its JSON document."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any, Sequence


class LlmproveError(Exception):
    """What the command refused, and the way out."""

    def __init__(self, message: str, help: str | None) -> None:
        super().__init__(message if help is None else f"{message} ({help})")
        self.message = message
        self.help = help


def executable() -> str:
    """Path of the command: ``$LLMPROVE``, the one of this installation, or the one on the path."""
    if named := os.environ.get("LLMPROVE"):
        return named
    name = "llmprove.exe" if sys.platform == "win32" else "llmprove"
    for folder in (sysconfig.get_path("scripts"), str(Path(sys.executable).parent)):
        if (own := Path(folder) / name).is_file():
            return str(own)
    if found := shutil.which("llmprove"):
        return found
    raise LlmproveError("the llmprove command is not installed", "pip install llmprove, or set LLMPROVE to its path")


def run(arguments: Sequence[str]) -> Any:
    """The JSON document that the command prints; its exit code says the same as the document."""
    done = subprocess.run([executable(), *arguments, "--json"], capture_output=True, text=True, encoding="utf-8")
    try:
        document = json.loads(done.stdout)
    except json.JSONDecodeError:
        raise LlmproveError(done.stderr.strip() or f"exit code {done.returncode}", None) from None
    if done.returncode == 2:
        raise LlmproveError(document["error"], document.get("help"))
    return document
