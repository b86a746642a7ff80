"""The journals of this machine's gateways: where they are, whether they are well, and what one of them holds."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gateway.cli.diagnosis import Row
from gateway.cli.show import emit, err, fields_table, grouped, out, table
from gateway.errors import PreconditionError

if TYPE_CHECKING:
    from gateway.journal import Entry, Reading
    from gateway.settings import Settings

FOLDER = "journal"
"""Its name in a state folder."""


def journal(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A gateway's journal.", show_default=False)],
    last: Annotated[int, typer.Option("--last", help="How many of the newest entries the table shows.", min=0)] = 20,
    json: Annotated[
        bool, typer.Option("--json", help="Print JSON: one line on the journal, then one for each entry, oldest first.")
    ] = False,
) -> None:
    """Read what a gateway admitted from its journal, also after a crash: each entry that is whole."""
    from gateway.journal import read

    reading = read(file)
    if reading.written:
        err.print("a live process writes this journal: it goes on where this ends", style="dim")
    if json:
        emit(_document(reading))
        for entry in reading:
            emit(entry._asdict() | {"event": _text(entry.event)})
        return
    out.print(fields_table(_told(reading)))
    shown = list(islice(reading, max(0, len(reading) - last), None))
    if shown:
        out.print()
        out.print(table(_COLUMNS, map(_row, shown)))


def journal_folder(chosen: Settings, state: Path | None = None) -> Path | None:
    """Tell where a gateway keeps its journal: as it was chosen, else with a dev gateway's state, else with the user's.

    None when it is off; raises PreconditionError when the user has no home.
    """
    if chosen.journal == "off":
        return None
    if chosen.journal:
        return Path(chosen.journal)
    if state:
        return state.absolute() / FOLDER
    try:
        users = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local/state")
    except RuntimeError as error:
        raise PreconditionError(
            "no folder is known for the journal: set TOLLKEEPER_JOURNAL, to off for none"
        ) from error
    return users / "tollkeeper" / FOLDER


def journal_row(chosen: Settings, state: Path | None) -> Row:
    """1. None is kept. 2. They cannot be read. 3. One has gaps. 4. As it should be."""
    from gateway.journal import kept, read

    if chosen.journal == "off":
        advice = "unset TOLLKEEPER_JOURNAL: without a journal, use that Redis loses before it is written down is gone"
        return Row(FOLDER, ok=True, found="off", mend=advice)
    try:
        folder = journal_folder(chosen, state)
        assert folder is not None
        found = kept(folder)
        missing = sum(read(journal.path).missing for journal in found if journal.written)
    except (OSError, PreconditionError) as error:
        mend = "let its owner run this, or give TOLLKEEPER_JOURNAL another folder"
        return Row(FOLDER, ok=False, found=str(error), mend=mend)
    written = sum(journal.written for journal in found)
    told = f"{written} being written, {len(found) - written} kept of gateways that ended, in {folder}"
    if missing:
        advice = "the disk damaged them, or lost them when the machine lost its power: look after it"
        return Row(FOLDER, ok=True, found=f"{told}; {missing} entries are missing", mend=advice)
    return Row(FOLDER, ok=True, found=told)


_COLUMNS = (
    ("Entry", "right"),
    ("At (UTC)", "left"),
    ("Bucket", "right"),
    ("Counter", "left"),
    ("Event", "left"),
    ("Claim", "left"),
)


def _row(entry: Entry) -> tuple[str, ...]:
    number, bucket = str(entry.sequence), str(entry.bucket)
    return (number, _moment(entry.at_ms), bucket, entry.counter, entry.event_id, _text(entry.event))


def _told(reading: Reading) -> list[tuple[str, str]]:
    first_ms, last_ms = _span_ms(reading)
    told = [
        ("gateway", f"{reading.gateway}, process {reading.process}"),
        ("opened", _moment(reading.opened_ms)),
        ("entries", grouped(len(reading))),
    ]
    if first_ms is not None and last_ms is not None:
        told.append(("admitted", f"{_moment(first_ms)} to {_moment(last_ms)} (UTC)"))
    told += [
        (name, f"{grouped(count)} {what}")
        for name, count, what in (
            ("overwritten", reading.overwritten, "older entries"),
            ("missing", reading.missing, "entries in between: damaged, or lost with the machine's power"),
            ("skipped", reading.skipped_bytes, "bytes of entries that are torn or half overwritten"),
        )
        if count
    ]
    return told


def _document(reading: Reading) -> dict[str, Any]:
    first_ms, last_ms = _span_ms(reading)
    return {
        "gateway": reading.gateway,
        "process": reading.process,
        "opened_ms": reading.opened_ms,
        "written": reading.written,
        "entries": len(reading),
        "first_at_ms": first_ms,
        "last_at_ms": last_ms,
        "overwritten": reading.overwritten,
        "missing": reading.missing,
        "skipped_bytes": reading.skipped_bytes,
    }


def _span_ms(reading: Reading) -> tuple[int | None, int | None]:
    times_ms = [entry.at_ms for entry in reading]  # Redis's clock may step back
    return min(times_ms, default=None), max(times_ms, default=None)


def _moment(ms: int) -> str:
    return f"{datetime.fromtimestamp(ms / 1000, UTC):%Y-%m-%d %H:%M:%S}.{ms % 1000:03}"


def _text(event: bytes) -> str:
    return event.decode("utf-8", "backslashreplace")
