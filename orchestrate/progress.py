"""The part of Meltano's log, which has thousands of lines, that a run shows."""

import json
import re
from collections import deque
from typing import Any, NamedTuple

from orchestrate.crms import Crm
from orchestrate.output import say, show, warn
from orchestrate.paths import TRANSFORM

ANSI = re.compile(r"\x1b\[[0-9;]*m")
TOKENS = re.compile(r"([\d,]+) API tokens$")
DBT_COUNT = re.compile(r"\d+ of (\d+) (OK|PASS|WARN|ERROR|FAIL|SKIP|NO-OP) ?(.*?)(?: \.\.+.*)?$")
DBT_SUMMARY = re.compile(r"Done\. PASS=(\d+) WARN=(\d+) ERROR=(\d+) SKIP=(\d+)")

DBT_TIME = re.compile(r"^\d\d:\d\d:\d\d(?=\s|$)")
DBT_ERROR = re.compile(r"\w+ Error\b|Failure in |dbt cannot begin: ")
ERROR_MARK = re.compile(r"(CRITICAL|Error:) ")

NO_STATE = "No state was found"
"""Meltano's words for a run without a state."""

WAITING = ("waits for a lock", "did not get its lock", "Another dbt writes to this database")
"""Messages of target and dbt while they wait for other sessions."""

UNCHANGED = "Nothing has changed since the build"
"""dbt's message if it has nothing to do."""

NOT_FOR_USERS = ("Force option is enabled",)
"""Warnings that need no action by users."""

GENERIC = (
    "Block run completed",
    "Extractor failed",
    "Loader failed",
    "Extractor and loader failed",
    "Mappers failed",
    "Intermediate block in sequence failed",
    "The process was terminated",
    "Future exception was never retrieved",
    "Task exception was never retrieved",
    "Run invocation could not be completed",
)
"""Beginnings of Meltano's own errors, which only follow from the error of a plugin."""

SEE_TARGET = "The target stopped reading"
"""The tap's error if the target has ended, which has the reason."""


class Line(NamedTuple):
    """A line of Meltano's log."""

    event: str
    level: str
    plugin: str


class Progress:
    """Shows the important lines of a run, and remembers how it ended.

    Attributes:
        is_first: Whether nothing was loaded before.
        tokens: The API tokens that the tap counted, as text; empty if it counted none.
    """

    def __init__(self, crm: Crm, *, is_first: bool, is_embedded: bool) -> None:
        self.tokens = ""
        self.is_first = is_first
        self._crm = crm
        self._has_said_how = is_first
        self._is_embedded = is_embedded
        self._reason = Reason()
        self._last_lines = deque[str](maxlen=15)
        self._nodes_done = 0

    def read(self, text: str) -> None:
        """Process one line of the log."""
        line = parse(text)
        if not line.event or line.event.startswith("METRIC"):
            return
        self._last_lines.append(line.event[:500])
        self._reason.read(line)
        if line.event.startswith("Error: "):  # a check at the start of Meltano, or the target's last message
            return
        if any(mark in line.event for mark in (*WAITING, UNCHANGED)):
            say(f"  {line.event}")
        elif line.plugin.startswith("dbt"):
            self._read_dbt(line)
        elif line.plugin.startswith(self._crm.tap):
            self._read_tap(line)
        else:
            self._read_meltano(line)

    def failure(self, command: str) -> str:
        """Return why the command failed; the end of its log if no plugin said why."""
        reason = self._reason.sentence
        if reason and not reason.startswith(GENERIC):
            return f"{reason} (The whole log is in .run/logs.)"
        shown = "\n".join(f"  {line}" for line in self._last_lines)
        return f"{command} failed. The end of its log, which is in .run/logs:\n{shown}"

    def _read_tap(self, line: Line) -> None:
        if found := TOKENS.search(line.event):
            self.tokens = found[1]
        if line.level == "error" or line.event.startswith("CRITICAL "):
            return
        if _is_alarm(line):
            warn(line.event.partition("\n")[0])
        elif any(mark in line.event for mark in self._crm.progress):
            self._say_how("Incremental: only what changed since the last run is loaded")
            say(f"  {line.event}")

    def _read_meltano(self, line: Line) -> None:
        if NO_STATE in line.event:
            self._say_how("No state of an earlier run was found: everything is loaded again")
        elif (line.level in ("error", "critical") or _is_alarm(line)) and not _is_generic(line):
            warn(line.event.partition("\n")[0])

    def _say_how(self, sentence: str) -> None:
        """Print once how much is loaded, as soon as it is known."""
        if not self._has_said_how:
            say(sentence)
            self._has_said_how = True

    def _read_dbt(self, line: Line) -> None:
        if found := DBT_COUNT.search(line.event):
            total, status, what = found.groups()
            if not what.startswith("hook: "):
                self._nodes_done += 1
                show(f"  dbt: {self._nodes_done} of {total}")
            if status in ("ERROR", "FAIL"):
                say(f"  dbt: {status} {what}")
        elif found := DBT_SUMMARY.search(line.event):
            built, warned, failed, skipped = map(int, found.groups())
            self._nodes_done = 0
            say(
                f"  dbt: {built} models and tests are good, {warned} warn, {failed} failed, {skipped} skipped"
            )
            if sentences := explained_results():
                say(f"    Rows of a warning, by its name: {rows_command(is_embedded=self._is_embedded)}")
            for sentence in sentences:
                say(f"    {sentence}")
        elif line.level in ("error", "critical"):
            say(f"  dbt: {line.event}")


def rows_command(*, is_embedded: bool) -> str:
    """Return a command that prints the rows of the test NAME.

    It sets the variables of the embedded Postgres in a subshell, as later runs in the same shell would take
    them for a database of .env.
    """
    show = ".venv/bin/meltano invoke dbt-postgres show --select NAME --output json --limit 100"
    return f'(eval "$(.venv/bin/warehouse env)"; {show})' if is_embedded else show


def parse(text: str) -> Line:
    """Parse a line of Meltano's log, which is JSON unless another program wrote it."""
    try:
        entry = json.loads(text)
        return Line(
            ANSI.sub("", str(entry["event"])).strip(), str(entry.get("level")), str(entry.get("name", ""))
        )
    except (ValueError, KeyError, TypeError):
        return Line(text.rstrip(), "info", "")


class Reason:
    """Finds in a log why its run failed.

    Attributes:
        sentence: The last error of a plugin or of this project. If there is none, the first of Meltano's own
            errors; empty without any error.
    """

    def __init__(self) -> None:
        self.sentence = ""
        self._heading = ""

    def read(self, line: Line) -> None:
        """Process one line of the log."""
        text = DBT_TIME.sub("", line.event).partition("\n")[0].strip()
        if not text:
            return
        if line.plugin.startswith("dbt"):
            self._read_dbt(text)
            return
        is_error = line.level in ("error", "critical") or ERROR_MARK.match(text)
        is_consequence = _is_generic(line) or SEE_TARGET in text
        if is_error and not (is_consequence and self.sentence):
            self.sentence = ERROR_MARK.sub("", text)

    def _read_dbt(self, text: str) -> None:
        """Keep an error of dbt, whose heading, such as `Database Error in model …`, is a line of its own."""
        if DBT_ERROR.match(text):
            self._heading = self.sentence = text
        elif self._heading:
            self.sentence = f"{self._heading}: {text}"
            self._heading = ""


def _is_generic(line: Line) -> bool:
    return not line.plugin and line.event.startswith(GENERIC)


def _is_alarm(line: Line) -> bool:
    return line.level == "warning" and not any(mark in line.event for mark in NOT_FOR_USERS)


MEANINGS = {
    "unique": "{n} values are in several rows",
    "not_null": "{n} rows have none",
    "accepted_values": "{n} values are not documented",
    "relationships": "{n} rows name a record that was deleted, or that the token's user may not see",
}
"""The sentences for failed column tests by the test's name."""


def explained_results() -> list[str]:
    """Return a sentence for each test of the last build that warned or failed, with the test's name."""
    try:
        results = json.loads((TRANSFORM / "target" / "run_results.json").read_text())["results"]
        nodes = json.loads((TRANSFORM / "target" / "manifest.json").read_text())["nodes"]
    except (OSError, ValueError, KeyError):  # dbt was stopped before it wrote them
        return []
    return [
        _explained(nodes[result["unique_id"]], result)
        for result in results
        if result["status"] in ("warn", "fail") and result["unique_id"] in nodes
    ]


def _explained(node: dict[str, Any], result: dict[str, Any]) -> str:
    n = f"{result.get('failures') or 0:,}"
    meaning = MEANINGS.get((node.get("test_metadata") or {}).get("name", ""))
    if meaning:
        model = str(node["attached_node"]).split(".")[2]  # a version may follow
        sentence = f"{model}.{node.get('column_name')}: {meaning.format(n=n)}"
    else:
        # The first sentence of a description says what is expected, the others what to do if it is not so.
        expected, _, advice = str(node.get("description") or "a test of the data").strip().partition(". ")
        rows = "1 row violates this" if n == "1" else f"{n} rows violate this"
        sentence = f"{expected.rstrip('.')}: {rows}{f'. {advice}' if advice else ''}"
    return f"{result['status'].upper()} {sentence} ({node['name']})"
