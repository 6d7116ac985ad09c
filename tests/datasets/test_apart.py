"""What a file does to the library that reads it ends in words: aborts, memory, time, and bytes written."""

from __future__ import annotations

import base64
import io
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pyarrow as arrow
import pyarrow.parquet as parquet
import pyarrow.parquet.encryption as encryption
import pytest
from test_bombs import soon

from assay.datasets.reader import open_table, read_table
from assay.datasets.spool import Spool
from assay.errors import ImportRefused


class Keys(encryption.KmsClient):  # type: ignore[misc]
    """Keeps keys in the open."""

    def __init__(self, config: Any) -> None:
        encryption.KmsClient.__init__(self)

    def wrap_key(self, key: bytes, name: str) -> bytes:
        """The key itself."""
        return base64.b64encode(key)

    def unwrap_key(self, wrapped: bytes, name: str) -> bytes:
        """The key itself."""
        return base64.b64decode(wrapped)


def encrypted(*, footer: bool) -> bytes:
    """A Parquet file with an encrypted column; footer: it is encrypted too."""
    factory = encryption.CryptoFactory(Keys)
    config = encryption.EncryptionConfiguration(
        footer_key="f", column_keys={"k": ["answer"]}, plaintext_footer=not footer
    )
    properties = factory.file_encryption_properties(encryption.KmsConnectionConfig(), config)
    table = arrow.table({"question": ["a", "b"], "answer": ["x", "y"]})
    target = io.BytesIO()
    with parquet.ParquetWriter(target, table.schema, encryption_properties=properties) as writer:
        writer.write_table(table)
    return target.getvalue()


def test_parquet_that_aborts_its_library_is_refused() -> None:
    """One encrypted column raises SIGABRT in Arrow: the process that dies of it is not ours."""
    with soon(), pytest.raises(ImportRefused, match="breaks the library") as caught:
        read_table(encrypted(footer=False), filename="x.parquet")

    assert caught.value.cure


def test_encrypted_parquet_is_named() -> None:
    """A file whose footer is encrypted says so itself."""
    with pytest.raises(ImportRefused, match="encrypted"):
        read_table(encrypted(footer=True), filename="x.parquet")


def test_spool_writes_no_more_than_its_bound(tmp_path: Path) -> None:
    """Bytes count, not cells: few bytes may stand for one long text in many of them."""
    with (tmp_path / "rows").open("w+b") as file:
        spool = Spool(file, 1_000_000)
        with pytest.raises(ImportRefused, match="far more room"):
            _ = [spool.add(line, 0, [f"{line:010000}"]) for line in range(100_000)]  # type: ignore[func-returns-value]

    assert (tmp_path / "rows").stat().st_size < 4_000_000


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("x.csv", ",".join(f"c{n}" for n in range(16_000)).encode() + b"\n" + b"1,\n" * 500_000),
        ("x.jsonl", b"{" + b",".join(b'"c%d":1' % n for n in range(16_000)) + b"}\n" + b"{}\n" * 100_000),
    ],
)
def test_rows_that_are_filled_up_without_an_end_are_refused(name: str, content: bytes) -> None:
    """Short rows of a file with thousands of columns are few bytes that stand for gigabytes."""
    with (
        soon(),
        open_table(content, filename=name) as file,
        file.rows() as rows,
        pytest.raises(ImportRefused, match="far more room"),
    ):
        list(map(len, rows))


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no disk that is always full")
def test_full_disk_is_told_in_words() -> None:
    """Where the rows that are kept meanwhile find no room, and what to do."""
    with Path("/dev/full").open("r+b", buffering=0) as full:
        spool = Spool(full, 1_000_000)
        spool.add(1, 0, ["x"])
        with pytest.raises(ImportRefused, match=r"cannot be kept.*Make room in"):
            spool.finish()


def test_bound_on_written_bytes_is_told_in_words(tmp_path: Path) -> None:
    """A process that may write little, as on a full disk, refuses the import and keeps nothing."""
    path = tmp_path / "rows.csv"
    path.write_text("a,b\n" + "".join(f"{n},{'x' * 100}\n" for n in range(50_000)), "utf-8")
    env = {**os.environ, "ASSAY_DATABASE_URL": f"sqlite:///{tmp_path / 'a.db'}", "TMPDIR": str(tmp_path)}

    done = subprocess.run(
        [sys.executable, "-m", "assay", "import", str(path)],
        env=env,
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (3_000_000, 3_000_000)),
    )

    assert done.returncode == 1, done
    assert "cannot be kept while it is read: File too large" in done.stderr
    assert "Traceback" not in done.stderr


def test_reader_ends_when_it_is_no_longer_listened_to(tmp_path: Path) -> None:
    """Rows that nobody asks for leave no process behind."""
    target = tmp_path / "x.parquet"
    parquet.write_table(arrow.table({"n": [str(n) for n in range(200_000)]}), target)

    with open_table(target) as file, file.rows() as rows:
        next(iter(rows))

    # Popen has waited for it, so that there is no child of ours to wait for.
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        try:
            pid, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid:
            return
    pytest.fail(f"a process is left: {signal.SIGKILL!r} did not end it")
