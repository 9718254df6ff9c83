"""Turns what the rooms raise into one line and an exit code; a traceback is for --debug only."""

from enum import IntEnum
from typing import Any

import typer
from rich.console import Console
from rich.text import Text
from typer.core import TyperGroup
from typer.exceptions import TyperException

from app.settings import SettingsError


class Exit(IntEnum):
    """What a command's exit code means; `backstop --help` lists them."""

    DONE = 0
    UNEXPECTED = 1
    WRONG_USE = 2
    WRONG_FILE = 3
    DATABASE = 4
    INCOMPLETE = 5
    NO_PORT = 6
    DIFFERS = 7


MEANINGS = {
    Exit.DONE: "all done",
    Exit.UNEXPECTED: "a fault in Backstop itself; --debug shows where",
    Exit.WRONG_USE: "a command, option or setting is wrong; the line says which",
    Exit.WRONG_FILE: "a fund file, a recording or a directory cannot be used; the line names it and why",
    Exit.DATABASE: "the database is missing, old or unreachable",
    Exit.INCOMPLETE: "a chain or fund could not be followed; all others were completed",
    Exit.NO_PORT: "the address to listen on is taken",
    Exit.DIFFERS: "the ledger has holes, or differs from its chain; the table says where",
}


class CommandError(Exception):
    """A command cannot do what it was asked; carries its exit code."""

    def __init__(self, message: str, code: Exit) -> None:
        super().__init__(message)
        self.code = code


def exit_of(error: Exception) -> Exit | None:
    """The exit code of an error that a room raised on purpose; None for one that nobody foresaw."""
    if isinstance(error, CommandError):
        return error.code
    if isinstance(error, SettingsError):
        return Exit.WRONG_USE
    return next((code for kind, code in families_of_rooms() if isinstance(error, kind)), None)


def families_of_rooms() -> tuple[tuple[type[Exception], Exit], ...]:
    """The error families of the rooms; imported when an error is there, never for `--help`."""
    from indexer.replay.recording import RecordingError
    from indexer.rpc.errors import ChainError
    from indexer.specs import RegistryError
    from ledger.errors import LedgerError
    from web.publish import PublishError

    return (
        (LedgerError, Exit.DATABASE),
        (RegistryError, Exit.WRONG_FILE),
        (RecordingError, Exit.WRONG_FILE),
        (PublishError, Exit.WRONG_FILE),
        (ChainError, Exit.INCOMPLETE),
    )


def line_of(error: Exception) -> str:
    """The error as one line."""
    return " ".join(str(error).split()) or type(error).__name__


def exit_code_table() -> str:
    """The exit codes for the end of the help text."""
    return "Exit codes: " + " · ".join(f"{code.value} {meaning}" for code, meaning in MEANINGS.items()) + "."


class OneLineErrors(TyperGroup):
    """A group of commands that ends in one line on standard error where a room gave up."""

    def invoke(self, ctx: Any) -> Any:
        """Runs the command; --debug lets every error through with its traceback."""
        try:
            return super().invoke(ctx)
        except (typer.Exit, typer.Abort, TyperException):
            raise  # Typer's own words for wrong use are one line already.
        except Exception as error:  # The last stop before a person; --debug shows all of it.
            if getattr(ctx.obj, "is_debugging", False):
                raise
            code = exit_of(error)
            show_error(line_of(error) if code else f"{type(error).__name__}: {line_of(error)} (--debug shows where)")
            raise typer.Exit(code or Exit.UNEXPECTED) from error


def show_error(line: str) -> None:
    """One line on standard error; never wrapped, so that it can be searched."""
    console = Console(stderr=True, highlight=False)
    console.print(Text.assemble(("error: ", "bold red"), line), soft_wrap=True)
