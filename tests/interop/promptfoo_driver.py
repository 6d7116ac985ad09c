"""The real promptfoo: installed once from npm, in one version, into a folder that git ignores.

Where Node is missing, too old, or npm cannot reach its registry, the tests that ask for it are skipped with the reason.
ASSAY_PROMPTFOO names another one to use; `off` skips. Nothing of it runs at install, and it tells nobody of its use.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

VERSION = "0.121.20"
"""The last that runs on Node 20."""
CACHE = Path(__file__).resolve().parents[2] / ".cache" / f"promptfoo-{VERSION}"
INSTALL_S = 300
# Its optional parts, clients of model makers, are 1.6 GB; of them only the database's driver is needed.
INSTALL = ("npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", "--omit=optional", "--loglevel=error")
QUIET = {
    "PROMPTFOO_DISABLE_TELEMETRY": "1",
    "PROMPTFOO_DISABLE_UPDATE": "1",
    "PROMPTFOO_DISABLE_REMOTE_GENERATION": "1",
    "PROMPTFOO_DISABLE_SHARING": "1",
    "NO_COLOR": "1",
}


@dataclass(frozen=True)
class Promptfoo:
    """The program, with a home of its own."""

    program: str
    home: Path

    @property
    def env(self) -> dict[str, str]:
        """Its environment: no key of the developer's reaches it."""
        kept = {name: value for name, value in os.environ.items() if not name.endswith(("_KEY", "_TOKEN"))}
        return {**kept, **QUIET, "PROMPTFOO_CONFIG_DIR": str(self.home)}

    def __call__(self, *words: str, codes: tuple[int, ...] = (0,)) -> str:
        """Runs a command and returns what it printed. codes: the exit codes that are right."""
        done = subprocess.run(
            [self.program, *words],
            cwd=self.home,
            env=self.env,
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
        )
        assert done.returncode in codes, done.stdout + done.stderr
        return done.stdout

    def evaluate(self, tests: Path, provider: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Its verdicts of a file of tests, in order.

        provider: row number from 0, as the column `n` holds it, -> the answer.
        """
        (self.home / "provider.cjs").write_text(PROVIDER.replace("ANSWERS", json.dumps(dict(provider))), "utf-8")
        config = {"prompts": ["{{n}}"], "providers": ["file://provider.cjs"], "tests": f"file://{tests}"}
        (self.home / "promptfooconfig.json").write_text(json.dumps(config), "utf-8")
        out = self.home / "out.json"
        self(
            "eval",
            "-c",
            "promptfooconfig.json",
            "-o",
            str(out),
            "--no-cache",
            "--no-table",
            "--no-progress-bar",
            "-j",
            "8",
            codes=(0, 100),
        )
        found = json.loads(out.read_text("utf-8"))["results"]["results"]
        return sorted(found, key=lambda result: result["testIdx"])


PROVIDER = """
const answers = ANSWERS;
module.exports = class {
  id() { return "given"; }
  async callApi(prompt, context) {
    await new Promise((done) => setTimeout(done, 20));
    return { output: answers[context.vars.n], cost: 0.002, finishReason: "stop" };
  }
};
"""


@pytest.fixture(scope="session")
def promptfoo_program() -> str:
    """The path of promptfoo."""
    given = os.environ.get("ASSAY_PROMPTFOO", "")
    if given == "off":
        pytest.skip("ASSAY_PROMPTFOO is off")
    if given:
        return given
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("Node is missing")
    program = CACHE / "node_modules" / ".bin" / "promptfoo"
    if not program.exists():
        _install()
    return str(program)


def _install() -> None:
    major, minor, _ = _said("node", "--version").lstrip("v").split(".", 2)
    if (int(major), int(minor)) < (20, 20):
        pytest.skip(f"promptfoo {VERSION} needs Node 20.20 or newer")
    CACHE.parent.mkdir(exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="promptfoo-", dir=CACHE.parent))
    try:
        (folder / "package.json").write_text('{"private": true}')
        _said(*INSTALL, f"promptfoo@{VERSION}", cwd=folder)
        target = _said("node", "-p", "require('@neon-rs/load').currentTarget()", cwd=folder)
        driver = json.loads((folder / "node_modules/libsql/package.json").read_text())["version"]
        _said(*INSTALL, f"@libsql/{target}@{driver}", cwd=folder)
        folder.rename(CACHE)
    except (OSError, subprocess.SubprocessError) as error:
        said = getattr(error, "stderr", "") or error
        pytest.skip(f"promptfoo could not be installed: {str(said)[-300:]}")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _said(*command: str, cwd: Path | None = None) -> str:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=INSTALL_S, check=True)
    return done.stdout.strip()


@pytest.fixture
def promptfoo(promptfoo_program: str, tmp_path: Path) -> Promptfoo:
    """promptfoo with an empty database."""
    home = tmp_path / "promptfoo"
    home.mkdir()
    return Promptfoo(promptfoo_program, home)
