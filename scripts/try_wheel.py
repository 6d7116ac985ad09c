"""Builds the wheel, installs it into an empty environment, and opens the first page from a folder that is not ours.

    python scripts/try_wheel.py

Prints what was seen; exits 1 with the reason where something is missing.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
import venv
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CARRIED = (
    "assay/site/app.py",
    "assay/site/.streamlit/config.toml",
    "assay/site/examples/examples.json",
    "assay/store/migrations/env.py",
    "assay/exports/evidence.css",
    "assay/views/icon.png",
    "assay/py.typed",
    *(f"assay/site/pages/{page.name}" for page in (ROOT / "pages").glob("*.py")),
    *(
        f"assay/store/migrations/versions/{revision.name}"
        for revision in (ROOT / "src/assay/store/migrations/versions").glob("*.py")
    ),
)
PATIENCE_S = 120


def run(*command: str | Path, cwd: Path) -> str:
    """What a command prints. Raises SystemExit with its words."""
    env = {name: value for name, value in os.environ.items() if not name.startswith(("OPENROUTER_", "ASSAY_"))}
    done = subprocess.run([str(word) for word in command], cwd=cwd, env=env, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(map(str, command))}\n{done.stdout}{done.stderr}")
    return done.stdout


def built(folder: Path) -> Path:
    """The wheel of this checkout, which carries everything that the app needs."""
    run(sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", folder, ROOT, cwd=folder)
    (wheel,) = folder.glob("assay-*.whl")
    with zipfile.ZipFile(wheel) as held:
        names = set(held.namelist())
    missing = [name for name in CARRIED if name not in names]
    strange = [name for name in names if "__pycache__" in name or name.startswith(("tests/", "bench/"))]
    if missing or strange:
        raise SystemExit(f"The wheel lacks {missing} and should not hold {strange}.")
    return wheel


def installed(wheel: Path, folder: Path) -> Path:
    """The programs of an environment that held nothing but the wheel and what it asks for."""
    venv.create(folder, with_pip=True)
    programs = folder / ("Scripts" if os.name == "nt" else "bin")
    # The versions that the suite ran with.
    pins = (ROOT / "requirements.txt").read_text().replace("-e .", "")
    (folder / "pins.txt").write_text(pins)
    run(programs / "python", "-m", "pip", "install", "-q", "-c", folder / "pins.txt", wheel, cwd=folder)
    return programs


def opens(programs: Path, folder: Path) -> None:
    """The app answers with its first page, in an empty folder, and ends when it is told to."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    env = {name: value for name, value in os.environ.items() if not name.startswith(("OPENROUTER_", "ASSAY_"))}
    log = folder / "app.log"
    with log.open("wb") as out:
        command = [str(programs / "python"), "-m", "assay", "app", "--headless", "--port", str(port)]
        app = subprocess.Popen(command, cwd=folder, env=env, stdout=out, stderr=out, start_new_session=True)
    try:
        page = answer(f"http://127.0.0.1:{port}/", log)
        answer(f"http://127.0.0.1:{port}/_stcore/health", log)
    finally:
        os.killpg(app.pid, 2) if os.name != "nt" else app.terminate()
    app.wait(60)
    if b"<script" not in page or not (folder / "data" / "assay.db").is_file():
        raise SystemExit(f"The first page did not come.\n{log.read_text()}")


def answer(url: str, log: Path) -> bytes:
    """What comes from an address, once something answers there."""
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until:
        try:
            with urllib.request.urlopen(url, timeout=5) as reply:
                return reply.read()
        except OSError:
            time.sleep(0.2)
    raise SystemExit(f"{url} does not answer.\n{log.read_text()}")


def main() -> None:
    """Builds, installs, opens, and runs the example."""
    with tempfile.TemporaryDirectory() as given:
        folder = Path(given)
        for name in ("dist", "env", "empty"):
            (folder / name).mkdir()
        wheel = built(folder / "dist")
        print(f"{wheel.name}: {wheel.stat().st_size / 1024:,.0f} KB")
        programs = installed(wheel, folder / "env")
        opens(programs, folder / "empty")
        print("assay app: the first page opens")
        run(
            programs / "assay",
            "run",
            "support_tickets",
            "--prompt",
            "{{ticket}}",
            "--model",
            "sandbox/swift",
            "--limit",
            "2",
            "--grader",
            "contains",
            cwd=folder / "empty",
        )
        print("assay run: an example runs in the sandbox")


if __name__ == "__main__":
    main()
