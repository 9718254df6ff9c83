"""Every setting of Backstop: its variable, default and sentence; a wrong one stops the start and is named."""

import difflib
import os
import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AnyHttpUrl, AnyUrl, Field, SecretStr, UrlConstraints, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict
from pydantic_settings import SettingsError as SourceError

PREFIX = "BACKSTOP_"
DOTENV = Path(".env")
SHIPPED_FUNDS = Path(__file__).parent.parent / "indexer" / "funds"

# What a person should write instead, by setting; the value that was refused stands before it.
FIXES = {
    "database_url": "write sqlite:///FILE or postgresql://USER:PASSWORD@HOST/NAME",
    "data_dir": "name a directory that Backstop may create and write to",
    "funds_dir": "name a directory with fund files (*.toml), or leave it out for the shipped ones",
    "rpc_urls": 'write JSON, chain id to a list of addresses: {"1": ["https://…", "wss://…"]}',
    "host": "name one address to listen on, such as 127.0.0.1",
    "port": "write a port from 1 to 65535 (0 takes a free one)",
    "public_url": "write the whole address people type, such as https://backstop.example",
    "real_data": "name the folder that holds the real data, or leave it out",
    "log_level": "write debug, info, warning or error",
    "log_format": "write plain or json",
    "poll_seconds": "write seconds, 0.1 or more",
    "retry_seconds": "write seconds, 1 or more",
    "compute_seconds": "write seconds, 1 or more",
    "publish_seconds": "write seconds, 1 or more",
    "publish_dir": "name a directory that Backstop may create and write to, or leave it out",
    "replay_seconds": "write seconds, 10 or more",
    "stop_seconds": "write seconds, 1 or more",
    "smtp_url": "write smtp://USER:PASSWORD@HOST:587, smtps://HOST, or leave it out to send no mail",
    "mail_from": "write one address, such as Backstop <alerts@backstop.example>",
    "mail_bounces": "write one address that accepts additions after a plus, or leave it out",
    "operator_urls": 'write JSON, a name to an apprise address: {"on-call": "slack://…"}',
    "heartbeat_url": "write the whole address that your watchdog gave you, or leave it out",
    "alert_seconds": "write seconds, 0.2 or more",
}


NodeUrl = Annotated[AnyUrl, UrlConstraints(allowed_schemes=["http", "https", "ws", "wss"], host_required=True)]


class SettingsError(Exception):
    """A setting is wrong: says which variable, what it held and how to mend it; stops the start."""


class Settings(BaseSettings):
    """What the person who runs Backstop may decide; each field is read from BACKSTOP_<NAME> or from `.env`."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="ignore", frozen=True)

    database_url: str | None = Field(
        default=None,
        description="Database: sqlite:///FILE or postgresql://…; left out, a SQLite file in the data directory",
    )
    data_dir: Path = Field(
        default=Path(".cache/backstop"),
        description="Directory for what Backstop makes itself: the SQLite file, imported recordings, the demo's ledger",
    )
    funds_dir: Path | None = Field(
        default=None,
        description="Directory of fund files to follow; left out, the shipped ones of real deployments",
    )
    rpc_urls: dict[int, list[NodeUrl]] = Field(
        default_factory=dict,
        description="Providers by chain id as JSON, instead of the shipped ones; ws and wss ones announce new blocks",
    )
    host: str = Field(default="127.0.0.1", min_length=1, description="Address the site listens on")
    port: int = Field(default=8000, ge=0, le=65535, description="Port the site listens on; 0 takes a free one")
    public_url: AnyHttpUrl | None = Field(
        default=None,
        description="Address under which people reach the site, for links in feeds; left out, links stay relative",
    )
    real_data: Path | None = Field(
        default=None,
        description="Folder with the real data that `backstop import` reads; left out, demo and tests do without",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="Least important log lines to show: debug, info, warning or error"
    )
    log_format: Literal["plain", "json"] = Field(
        default="plain", description="Log lines for people (plain) or for machines, one JSON object each (json)"
    )
    poll_seconds: float = Field(
        default=4.0, ge=0.1, description="Seconds between two looks at a chain's head once it is reached"
    )
    retry_seconds: float = Field(
        default=60.0, ge=1, description="Seconds until a chain that could not be reached or followed is tried again"
    )
    compute_seconds: float = Field(
        default=300.0, ge=1, description="Seconds between two computations of the metrics in `backstop run`"
    )
    publish_seconds: float = Field(
        default=900.0, ge=1, description="Seconds between two static trees in `backstop run`, if a publish_dir is set"
    )
    publish_dir: Path | None = Field(
        default=None,
        description="Directory `backstop run` writes the static site to, shown while the database is away; else none",
    )
    replay_seconds: float = Field(
        default=240.0, ge=10, description="Seconds in which the demo plays the crash week of May 2021"
    )
    stop_seconds: float = Field(
        default=20.0, ge=1, description="Seconds `backstop run` gives a running job to finish after SIGTERM"
    )

    smtp_url: str | None = Field(
        default=None,
        description="Mail server that sends our messages: smtp://… or smtps://…; left out, no mail is sent",
    )
    mail_from: str = Field(
        default="Backstop <alerts@localhost>", description="Sender of our messages, as people see it"
    )
    mail_bounces: str | None = Field(
        default=None,
        description="Mailbox that failures are returned to, the message after a plus: `backstop alert bounce` reads it",
    )
    operator_urls: dict[str, SecretStr] = Field(
        default_factory=dict,
        description="Channels of whoever runs Backstop as JSON, name to apprise address; needs backstop[operators]",
    )
    heartbeat_url: AnyHttpUrl | None = Field(
        default=None,
        description="Address asked once a minute while rules and sender work: a watchdog alarms when it falls silent",
    )
    alert_seconds: float = Field(
        default=0.5, ge=0.2, description="Seconds between two looks of the rules and of the sender"
    )

    @field_validator("log_level", "log_format", mode="before")
    @classmethod
    def _any_case(cls, word: object) -> object:
        return word.lower() if isinstance(word, str) else word

    @field_validator("funds_dir", "real_data")
    @classmethod
    def _must_exist(cls, path: Path | None) -> Path | None:
        if path is not None and not path.is_dir():
            raise ValueError("there is no such directory")
        return path

    @property
    def ledger_url(self) -> str:
        """The database to open; the default lies in the data directory."""
        return self.database_url or sqlite_url(self.data_dir / "backstop.sqlite")

    @property
    def live_funds_dir(self) -> Path:
        """Where the fund files to follow are."""
        return self.funds_dir or SHIPPED_FUNDS

    def providers(self) -> dict[int, list[str]]:
        """Addresses that override the shipped ones, by chain id."""
        return {chain: [str(url) for url in urls] for chain, urls in self.rpc_urls.items()}


def sqlite_url(file: Path) -> str:
    """The database URL of a SQLite file; a relative file stays relative to where the command runs."""
    return f"sqlite:///{file}"


def load_settings(**given: Any) -> Settings:
    """Settings from the environment, then `.env`; `given` (from the command line) wins. Raises SettingsError.

    An empty variable counts as left out, so that `BACKSTOP_PORT=` in a copied `.env.example` is no error.
    """
    _refuse_misspelt(_named_variables())
    try:
        return Settings(
            _env_file=DOTENV,
            _env_ignore_empty=True,
            **{name: value for name, value in given.items() if value is not None},
        )
    except ValidationError as error:
        raise SettingsError(_sentence(error)) from error
    except SourceError as error:
        # Raised for a value that should be JSON and is not; the message names the field in quotes.
        name = next((field for field in FIXES if f'"{field}"' in str(error)), "rpc_urls")
        raise SettingsError(f"{PREFIX}{name.upper()} cannot be read: {FIXES[name]}") from error


def _named_variables() -> list[str]:
    in_file = re.findall(r"^\s*(?:export\s+)?(\w+)\s*=", DOTENV.read_text(), re.M) if DOTENV.is_file() else []
    return sorted({name.upper() for name in (*os.environ, *in_file) if name.upper().startswith(PREFIX)})


def _refuse_misspelt(variables: list[str]) -> None:
    """A near miss of a setting's name would otherwise be ignored in silence."""
    known = [PREFIX + name.upper() for name in Settings.model_fields]
    for variable in variables:
        near = difflib.get_close_matches(variable, known, n=1, cutoff=0.88)
        if variable not in known and near:
            raise SettingsError(f"{variable} is no setting of Backstop: did you mean {near[0]}?")


def _sentence(error: ValidationError) -> str:
    """The first thing wrong, as one line: variable, value, what is wrong with it, what to write."""
    first = error.errors()[0]
    name = str(first["loc"][0]) if first["loc"] else "?"
    what = str(first["msg"]).removeprefix("Value error, ")
    shown = repr(first["input"]) if isinstance(first["input"], str | int | float) else f"'{first['input']}'"
    fix = FIXES.get(name, "see .env.example")
    return f"{PREFIX}{name.upper()} is {shown[:120]}: {what.replace('Input should', 'it should')}; {fix}"
