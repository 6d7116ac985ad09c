"""Looks at what Assay depends on: licences that would bind its users, and, where the network allows, known flaws.

    python scripts/audit.py

Exits 1 with the names where something is wrong.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BINDING = re.compile(r"\b(AGPL|GPL|SSPL|BUSL|GNU Affero|GNU General Public)\b")
"""Licences that ask for more of a user than to name the authors. The Lesser GPL of a library does not."""
PATIENCE_S = 40
"""Seconds for asking about known flaws; a network that swallows the question is given up."""


def pinned() -> list[str]:
    """The names of everything that a user installs."""
    lines = (ROOT / "requirements.txt").read_text("utf-8").splitlines()
    return [line.partition("==")[0] for line in lines if "==" in line]


def binding_licences() -> list[str]:
    """Installed packages whose licence binds, with it."""
    found = []
    for name in pinned():
        try:
            told = distribution(name).metadata
        except PackageNotFoundError:
            continue  # for another system or version of Python
        classes = [c for c in told.get_all("Classifier") or () if c.startswith("License ::")]
        licence = " ".join([str(told.get("License-Expression") or told.get("License") or "")[:200], *classes])
        if BINDING.search(licence):
            found.append(f"{name}: {' '.join(licence.split())}")
    return found


def asked_for_flaws() -> tuple[list[str], int]:
    """Pinned versions with known flaws, and how many could be asked for. Raises OSError where none could."""
    command = [
        sys.executable,
        "-m",
        "pip_audit",
        "-r",
        str(ROOT / "requirements.txt"),
        "--disable-pip",
        "--no-deps",
        "--progress-spinner",
        "off",
        "--timeout",
        "5",
        "--format",
        "json",
    ]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S)
        told = json.loads(done.stdout)["dependencies"]
    except (subprocess.TimeoutExpired, ValueError) as error:
        raise OSError("no answer") from error
    asked = [package for package in told if "skip_reason" not in package]
    flawed = [
        f"{package['name']} {package['version']}: {', '.join(flaw['id'] for flaw in package['vulns'])}"
        for package in asked
        if package["vulns"]
    ]
    return flawed, len(asked)


def main() -> None:
    """Prints what was found."""
    if licences := binding_licences():
        sys.exit("Licences that bind: " + "; ".join(licences))
    print(f"{len(pinned())} packages, no licence that binds")
    try:
        flawed, asked = asked_for_flaws()
    except OSError as error:
        print(f"Known flaws could not be asked for: {error}.")
        return
    if not asked:
        print("Known flaws could not be asked for: the registry does not tell.")
        return
    if flawed:
        sys.exit("Known flaws: " + "; ".join(flawed))
    print(f"No known flaw in the {asked} packages that could be asked for")


if __name__ == "__main__":
    main()
