"""Reading the store's tables behind the runner's back."""

import os
import sqlite3
import subprocess
from contextlib import closing
from urllib.parse import urlsplit


class Sqlite:
    """The database in a data directory, read only."""

    def __init__(self, data):
        self._path = data / "runner.db"

    def rows(self, select):
        """The rows of a SELECT, as tuples."""
        with closing(sqlite3.connect(f"file:{self._path}?mode=ro", uri=True, timeout=30)) as connection:
            return connection.execute(select).fetchall()


class Postgres:
    """A new database in the server that scripts/with-servers started."""

    def __init__(self, name):
        server = os.environ.get("RUNNER_TEST_POSTGRES")
        if not server:
            raise SystemExit("RUNNER_TEST_POSTGRES names no server: start this with scripts/with-servers")
        self._server = server
        self._name = f"{name}_{os.getpid()}"
        self.url = f"{server.rsplit('/', 1)[0]}/{self._name}"
        self._query(server, f"CREATE DATABASE {self._name}")

    def rows(self, select):
        """The rows of a SELECT, as tuples. Whole numbers are numbers and NULL is None, as with SQLite."""
        lines = self._query(self.url, select).splitlines()
        return [tuple(map(_value, line.split("\t"))) for line in lines]

    def drop(self):
        """Removes the database, whoever is connected."""
        self._query(self._server, f"DROP DATABASE {self._name} WITH (FORCE)")

    @staticmethod
    def _query(url, statement):
        command = ["psql", "--no-psqlrc", "--quiet", "--no-align", "--tuples-only", "--field-separator=\t"]
        command += ["--pset=null=\\N", "--set=ON_ERROR_STOP=1"]
        # The URL holds a password, and arguments can be read by others.
        parts = urlsplit(url)
        environment = os.environ | {"PGHOST": parts.hostname, "PGPORT": str(parts.port)}
        environment |= {"PGUSER": parts.username, "PGPASSWORD": parts.password}
        environment |= {"PGDATABASE": parts.path.removeprefix("/")}
        made = subprocess.run(command, input=statement, env=environment, capture_output=True, text=True)
        if made.returncode != 0:
            raise RuntimeError(f"psql: {made.stderr}")
        return made.stdout


def _value(text):
    if text == "\\N":
        return None
    # Identifiers have letters or more digits than any number here.
    return int(text) if text.isdigit() and len(text) < 20 else text
