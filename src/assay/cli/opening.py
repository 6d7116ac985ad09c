"""The command that opens the workbench in a browser: app."""

from __future__ import annotations

import subprocess
import sys
from typing import Annotated

import typer

from assay.cli.terminal import app
from assay.places import SERVER


@app.command("app")
def open_app(
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to listen on.")] = 8501,
    headless: Annotated[bool, typer.Option("--headless", help="Open no browser.")] = False,
) -> None:
    """Open the workbench: the pages, on this machine only."""
    command = [
        sys.executable,
        "-m",
        "streamlit",
        "run",
        str(SERVER),
        "--server.port",
        str(port),
        "--server.headless",
        str(headless).lower(),
    ]
    # A process of its own: Streamlit takes over signals, standard output and the main thread.
    server = subprocess.Popen(command)  # noqa: S603 - our own script
    while True:
        try:
            sys.exit(server.wait())
        except KeyboardInterrupt:
            continue  # the server has heard it too, and ends in order
