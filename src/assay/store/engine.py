"""Opening the database: driver, pragmas, migrations, one writer and many readers."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.pool import QueuePool

from assay.errors import StoreError
from assay.store.birth import HEAD as HEAD
from assay.store.birth import prepare
from assay.store.writer import LOCKED_PATIENCE_S, Patience, Writer, as_store_error, is_locked

SOUND_SQLITE = (3, 51, 3)
"""The first release without the WAL-reset corruption bug (RELIABILITY 0.1)."""
CACHE_KB = 2000
"""KiB of pages that a connection keeps: a dozen stand open, and the system's cache holds the file for all."""
BUSY_MS = 5_000
WRITER_BUSY_MS = 1_000
"""The writer's thread waits by itself for as long as it has patience, and says so (writer.py)."""


@dataclass(frozen=True, slots=True)
class StoreHealth:
    """What the health panel shows of the database."""

    url: str
    version: str
    sound: bool
    """False for an SQLite with the WAL corruption bug: only this process may then write."""
    path: Path | None
    size_bytes: int | None
    free_bytes: int | None


class Store:
    """An open database. Reads through `read()`, writes through `writer`."""

    def __init__(
        self, url: str, reader: Engine, writer_engine: Engine, path: Path | None, patience: Patience | None = None
    ) -> None:
        self.url = url
        self.path = path
        self.reader = reader
        self._writer_engine = writer_engine
        self.writer = Writer(writer_engine, patience=patience)

    @property
    def writer_url(self) -> URL:
        """The database as the writer sees it."""
        return self._writer_engine.url

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A connection for reading: one consistent snapshot. Raises StoreError in words."""
        try:
            with self.reader.connect() as connection:
                yield connection
        except (DBAPIError, PoolTimeout) as error:
            raise as_store_error(error, "a reading") from error

    def health(self) -> StoreHealth:
        """Version, file and sizes."""
        with self.read() as connection:
            version = driver_version(connection)
        size = None
        if self.path is not None:
            files = (self.path, self.path.with_name(self.path.name + "-wal"))
            size = sum(file.stat().st_size for file in files if file.exists())
        return StoreHealth(
            url=make_url(self.url).render_as_string(hide_password=True),
            version=version,
            sound=self.path is None or _tuple(version) >= SOUND_SQLITE,
            path=self.path,
            size_bytes=size,
            free_bytes=shutil.disk_usage(self.path.parent).free if self.path is not None else None,
        )

    def close(self) -> None:
        """Finishes the queued writes and closes the connections."""
        self.writer.close()
        if self.path is not None:
            try:
                with self._writer_engine.connect() as connection:
                    connection.exec_driver_sql("ROLLBACK")
                    connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
                    connection.exec_driver_sql("BEGIN")
            except DBAPIError:
                pass  # the next opening checkpoints
        self.reader.dispose()
        self._writer_engine.dispose()


def open_store(
    url: str, *, patience_s: float = LOCKED_PATIENCE_S, on_wait: Callable[[str], None] | None = None
) -> Store:
    """Opens the database and migrates it to the newest tables; several processes may do so at once.

    patience_s: how long a database is waited for that another program holds locked. on_wait: told, in words, once each
    time that it is waited for. Raises StoreError in words when it cannot.
    """
    try:
        parsed = make_url(url)
    except SQLAlchemyError as error:
        raise StoreError(f"{url!r} is not a database URL.", cure="Set ASSAY_DATABASE_URL.") from error
    path = None
    if parsed.get_backend_name() == "sqlite":
        if not parsed.database or parsed.database == ":memory:":
            raise StoreError("Assay needs a database file.", cure="Set ASSAY_DATABASE_URL to sqlite:///FILE.")
        path = Path(parsed.database).resolve()
    shown = parsed.render_as_string(hide_password=True)
    engines: list[Engine] = []
    patience = Patience(patience_s, on_wait)
    try:
        if path is not None:
            if path.is_dir():
                raise StoreError(f"The database {shown} is a folder.", cure="Name a file in it: ASSAY_DATABASE_URL.")
            path.parent.mkdir(parents=True, exist_ok=True)
            if not path.exists():
                path.touch(mode=0o600)  # SQLite gives its log beside it the same mode
        writer, reader = (_engine(url, path, writing=writing) for writing in (True, False))
        engines += [writer, reader]
        patience.through(lambda: prepare(reader, writer, shown))
        return Store(url, reader, writer, path, patience)
    except (SQLAlchemyError, OSError, ImportError) as error:
        _dispose(engines)
        if is_locked(error):
            raise as_store_error(error) from error
        reason = getattr(error, "orig", None) or error
        raise StoreError(
            f"The database {shown} cannot be opened: {str(reason).strip()[:300]}.",
            cure="Check ASSAY_DATABASE_URL, the folder's permissions and the free space.",
        ) from error
    except BaseException:
        _dispose(engines)
        raise


def _dispose(engines: Sequence[Engine]) -> None:
    for engine in engines:
        engine.dispose()


def _engine(url: str, path: Path | None, *, writing: bool) -> Engine:
    if path is None:
        return create_engine(url, pool_pre_ping=True)
    busy_ms = WRITER_BUSY_MS if writing else BUSY_MS
    engine = create_engine(
        f"sqlite:///{path}",
        module=sqlite_driver(),
        poolclass=QueuePool,
        pool_size=1 if writing else 8,
        max_overflow=0 if writing else 24,
        connect_args={"timeout": busy_ms / 1000, "check_same_thread": False, "isolation_level": None},
    )

    @event.listens_for(engine, "connect")
    def set_pragmas(connection: Any, _: object) -> None:
        cursor = connection.cursor()
        for pragma in (
            f"busy_timeout = {busy_ms}",
            *(("journal_mode = WAL",) if writing else ()),
            "synchronous = FULL",
            "foreign_keys = ON",
            "journal_size_limit = 134217728",
            f"cache_size = -{CACHE_KB}",
            "temp_store = MEMORY",
        ):
            cursor.execute(f"PRAGMA {pragma}")
        if not writing:
            cursor.execute("PRAGMA query_only = ON")
            cursor.execute("PRAGMA wal_autocheckpoint = 0")
        cursor.close()

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")

    return engine


def sqlite_driver() -> Any:
    """The SQLite with the newest library: pysqlite3 brings its own, the standard one has the system's."""
    import sqlite3

    try:
        from pysqlite3 import dbapi2
    except ImportError:
        return sqlite3
    return dbapi2 if dbapi2.sqlite_version_info >= sqlite3.sqlite_version_info else sqlite3


def driver_version(connection: Connection) -> str:
    """The version of the database library or server."""
    if connection.dialect.name == "sqlite":
        return str(connection.exec_driver_sql("SELECT sqlite_version()").scalar_one())
    return str(connection.exec_driver_sql("SHOW server_version").scalar_one())


def _tuple(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdigit())
