"""A `runner serve` process that can be killed and started again on the same data directory."""

import atexit
import os
import signal
import subprocess
import threading
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BINARY = ROOT / "target" / "debug" / "runner"
START_SECONDS = 60


class Node:
    """One node. `url` is where it listens, or None while it is down; the port changes with each start."""

    def __init__(self, place, name, store=None, settings=None, binary=BINARY):
        self.name = name
        self._binary = binary
        self.data = place / name
        self.root_key = place / "root.key"
        self.log = place / f"{name}.log"
        self.url = None
        self._process = None
        # Nothing of the caller's own settings may leak in.
        self._environment = {key: os.environ[key] for key in ("PATH", "TZ", "LANG") if key in os.environ}
        self._environment |= {"HOME": str(place), "RUNNER_DATA": str(self.data)}
        self._environment |= {"RUNNER_ROOT_KEY": str(self.root_key)}
        self._environment |= settings or {}
        if store:
            self._environment["RUNNER_STORE"] = store
        # However this program ends.
        atexit.register(self.kill)

    def start(self):
        """Returns when it listens."""
        with self.log.open("ab") as log:
            command = [self._binary, "serve", "--listen", "127.0.0.1:0"]
            self._process = subprocess.Popen(
                command, env=self._environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log
            )
        # A node that hangs is killed, and then its output ends.
        watchdog = threading.Timer(START_SECONDS, self._process.kill)
        watchdog.start()
        line = self._process.stdout.readline().decode()
        watchdog.cancel()
        if not line.startswith("listening on "):
            self._process.kill()
            self._process.wait()
            raise RuntimeError(f"{self.name} did not start:\n{self.log_end()}")
        self.url = line.removeprefix("listening on ").strip()

    def kill(self):
        """Ends it as a crash would. It may be down already."""
        self._end(signal.SIGKILL)

    def stop(self):
        """Asks it to stop and waits until it has."""
        self._end(signal.SIGTERM)

    def _end(self, how):
        self.url = None
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait()
            self._process.stdout.close()
            self._process = None

    def died(self):
        """Whether it ended without being asked."""
        return self._process is not None and self._process.poll() is not None

    def command(self, *arguments):
        """The output of a command on this node's data directory, through the running node."""
        made = subprocess.run([self._binary, *arguments], env=self._environment, capture_output=True, text=True)
        if made.returncode != 0:
            raise RuntimeError(f"runner {' '.join(arguments)}: {made.stderr}")
        return made.stdout.strip()

    def log_end(self):
        """The end of its log."""
        return self.log.read_text(errors="replace")[-4000:]

    def panics(self):
        """The lines of its log that tell of a panic."""
        with self.log.open(errors="replace") as log:
            return [line.strip() for line in log if "panicked" in line]
