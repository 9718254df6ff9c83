"""The command line: what each command is called, takes and teaches. The work is done by the modules beside it.

They are imported by the command that needs them: `--help` answers at once and opens no room.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from app.alert_commands import alert
from app.failures import CommandError, Exit, OneLineErrors, exit_code_table
from app.logs import start_logging
from app.settings import Settings, load_settings
from app.upkeep import upkeep

FIRST = "First steps"
PARTS = "One part at a time"
CHAIN_DATA = "Recordings and fund files"

cli = typer.Typer(
    cls=OneLineErrors,
    name="backstop",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="""A public solvency monitor for the insurance funds of trading and lending platforms.

Data walk in one direction: chains → index → ledger → compute → metrics → serve or publish.

Begin with [cyan]backstop demo[/]: it plays a recorded crash and needs no network.
Then [cyan]backstop run[/] follows real chains. Every setting is a variable BACKSTOP_…; .env.example lists them all.""",
    epilog=exit_code_table(),
)
database = typer.Typer(
    no_args_is_help=True,
    help="""Makes, upgrades and checks the tables of the database.

Example: [cyan]backstop db upgrade[/]""",
)
cli.add_typer(database, name="db", rich_help_panel=PARTS)
cli.add_typer(alert, name="alert", rich_help_panel=PARTS)
cli.add_typer(upkeep)

Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error and every log line.")]
Funds = Annotated[
    Path | None,
    typer.Option("--funds", metavar="DIR", help="Directory of fund files; BACKSTOP_FUNDS_DIR or the shipped ones."),
]
Chains = Annotated[
    list[str] | None,
    typer.Option("--chain", metavar="SLUG", help="Only this chain (by slug or id); may be given several times."),
]
Host = Annotated[str | None, typer.Option("--host", help="Address to listen on; BACKSTOP_HOST or 127.0.0.1.")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON document instead of tables.")]
Port = Annotated[int | None, typer.Option("--port", min=0, max=65535, help="Port to listen on; BACKSTOP_PORT or 8000.")]


@dataclass(frozen=True)
class Invocation:
    """What stood before the command's name."""

    is_debugging: bool = False

    def settings(self, **given: Any) -> Settings:
        """Settings of this command, options first; from here on the log goes to standard error."""
        settings = load_settings(**given)
        start_logging("debug" if self.is_debugging else settings.log_level, settings.log_format)
        return settings


@cli.callback()
def main_options(ctx: typer.Context, *, debug: Debug = False) -> None:
    """Takes what stands before the command's name; `--help` of a command never reads a setting."""
    ctx.obj = Invocation(is_debugging=debug)


def settings_of(ctx: typer.Context, **given: Any) -> Settings:
    """The settings of the command that is running."""
    invocation: Invocation = ctx.obj
    return invocation.settings(**given)


@cli.command("demo", rich_help_panel=FIRST)
def play_demo(
    ctx: typer.Context,
    *,
    once: Annotated[bool, typer.Option("--once", help="All at once, write build/site, print a table, exit.")] = False,
    host: Host = None,
    port: Port = None,
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Where --once writes the static site.")] = Path(
        "build/site"
    ),
) -> None:
    """Shows the whole of Backstop on recorded chains, without a network.

    The crash of May 2021 is indexed up to its eve, the site comes up, and then the week plays in about four
    minutes while the pages keep up. It stays up until Ctrl-C. Real recordings join where BACKSTOP_REAL_DATA is set.

    Example: [cyan]backstop demo[/], then open http://127.0.0.1:8000

    Example: [cyan]backstop demo --once[/] does the same work at once and writes build/site with funds.json.

    Next: [cyan]backstop run[/] follows real chains.
    """
    from app import demo

    settings = settings_of(ctx, host=host, port=port)
    if once:
        demo.play_once(settings, out)
    else:
        demo.play_paced(settings)


@cli.command("run", rich_help_panel=FIRST)
def run_everything(
    ctx: typer.Context,
    *,
    funds: Funds = None,
    chain: Chains = None,
    host: Host = None,
    port: Port = None,
    no_upgrade: Annotated[
        bool, typer.Option("--no-upgrade", help="Refuse to start on an old database instead of upgrading it.")
    ] = False,
) -> None:
    """Does everything, on a schedule: index, snapshot, compute, publish, serve.

    A chain that does not answer is named, tried again, and hurts no other; its funds are marked unknown meanwhile.
    Ctrl-C or SIGTERM stops cleanly; the next start goes on where this one stopped.

    Example: [cyan]backstop run[/]

    Example: [cyan]BACKSTOP_RPC_URLS='{"1": ["https://my-node.example"]}' backstop run --chain ethereum[/]

    Next: open the address it prints; /status shows how far each chain is.
    """
    from app import following

    settings = settings_of(ctx, host=host, port=port, funds_dir=funds)
    following.run_everything(settings, chains=chain or [], may_upgrade=not no_upgrade)


@cli.command("index", rich_help_panel=PARTS)
def index_chains(
    ctx: typer.Context,
    *,
    once: Annotated[bool, typer.Option("--once", help="Stop when each chain's head is reached.")] = False,
    funds: Funds = None,
    chain: Chains = None,
) -> None:
    """Reads logs, balances and prices of all funds from their chains into the ledger.

    Goes on where the last run stopped; running it twice changes nothing. Without --once it follows the heads.

    Example: [cyan]backstop index --once --chain ethereum[/]

    Next: [cyan]backstop compute[/] works out what the ledger says about each fund.
    """
    from app import indexing

    settings = settings_of(ctx, funds_dir=funds)
    indexing.index_command(settings, chains=chain or [], until_head=once)


@cli.command("compute", rich_help_panel=PARTS)
def compute_metrics(
    ctx: typer.Context,
    *,
    as_of: Annotated[
        str | None, typer.Option("--as-of", metavar="TIME", help="Work out this day or time instead; writes nothing.")
    ] = None,
    fund: Annotated[list[str] | None, typer.Option("--fund", metavar="SLUG", help="Only this fund.")] = None,
    as_json: AsJson = False,
) -> None:
    """Works out coverage, losses, stress and status of every segment from what the ledger holds.

    Asks no chain. Each UTC day is written once; running it twice changes nothing. --as-of takes a UTC day
    (2021-05-19) or a time (2021-05-19T12:00, UTC unless Z or +02:00 follows), uses only what was on chain by then,
    and shows each number beside the published one. --fund and --json belong to it.

    Example: [cyan]backstop compute[/], or [cyan]backstop compute --as-of 2021-05-19 --fund perp-v2[/]

    Next: [cyan]backstop serve[/] shows the pages, [cyan]backstop explain[/] shows what a number is made of.
    """
    from app import asof, pipeline

    if as_of is not None:
        asof.as_of_command(settings_of(ctx), as_of, slugs=fund or [], as_json=as_json)
    elif fund or as_json:
        raise CommandError("--fund and --json belong to --as-of: give a time too, or leave them out", Exit.WRONG_USE)
    else:
        pipeline.compute_command(settings_of(ctx))


@cli.command("explain", rich_help_panel=PARTS)
def explain_metric(
    ctx: typer.Context,
    *,
    slug: Annotated[str, typer.Argument(metavar="SLUG", help="The fund or segment.")],
    metric: Annotated[str, typer.Argument(metavar="METRIC", help="The number, such as coverage or usable_value.")],
    day: Annotated[str, typer.Option("--day", metavar="YYYY-MM-DD", help="Another day than the latest.")] = "",
    as_json: AsJson = False,
) -> None:
    """Shows what a published number is made of: formula, input rows, values between, and whether it comes out again.

    Example: [cyan]backstop explain perp-v2 coverage[/], or [cyan]backstop explain perp-v2 runway --day 2021-05-19[/]

    Next: [cyan]backstop compute --as-of 2021-05-19[/] shows all numbers of a day.
    """
    from app import explaining

    explaining.explain_command(settings_of(ctx), slug, metric, day=day, as_json=as_json)


@cli.command("serve", rich_help_panel=PARTS)
def serve_site(ctx: typer.Context, *, host: Host = None, port: Port = None) -> None:
    """Serves pages and JSON from the ledger as it is; indexes and computes nothing.

    Where BACKSTOP_PUBLISH_DIR holds a published site, its pages are served while the database is away, with a notice:
    at the start too.

    Example: [cyan]backstop serve --port 8080[/]

    Next: open the address it prints. Ctrl-C stops it.
    """
    from app import pipeline

    pipeline.serve_command(settings_of(ctx, host=host, port=port))


@cli.command("worker", rich_help_panel=PARTS)
def announce_and_send(ctx: typer.Context) -> None:
    """Announces and sends, without indexing: rules, outbox, heartbeat. Several may share one Postgres.

    Example: [cyan]BACKSTOP_PUBLIC_URL=https://backstop.example backstop worker[/]

    Next: /alerts/log shows what was announced; [cyan]backstop alert list[/] what was sent.
    """
    from app import alert_desk

    alert_desk.worker_command(settings_of(ctx))


@cli.command("publish", rich_help_panel=PARTS)
def publish_site(
    ctx: typer.Context,
    *,
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Directory to write; made where it is missing.")],
) -> None:
    """Writes the whole site as files that any web server can hand out: the same bytes as served, and funds.json.

    Example: [cyan]backstop publish build/site[/]

    Next: [cyan]python3 -m http.server -d build/site[/] shows it; a CDN serves it.
    """
    from app import pipeline

    pipeline.publish_command(settings_of(ctx), directory)


@cli.command("replay", rich_help_panel=CHAIN_DATA)
def replay_recordings(
    ctx: typer.Context,
    *,
    files: Annotated[list[Path], typer.Argument(metavar="FILE…", help="Recordings to serve, each at /its-slug.")],
    host: Annotated[str, typer.Option("--host", help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[
        int, typer.Option("--port", min=0, max=65535, help="Port to listen on; 0 takes a free one.")
    ] = 8545,
    range_cap: Annotated[
        int | None, typer.Option("--range-cap", min=1, help="Refuse eth_getLogs over more blocks than this.")
    ] = None,
    result_cap: Annotated[
        int | None, typer.Option("--result-cap", min=1, help="Refuse eth_getLogs with more logs than this.")
    ] = None,
    latency_ms: Annotated[int, typer.Option("--latency-ms", min=0, help="Wait this long before each answer.")] = 0,
    speed: Annotated[
        float | None,
        typer.Option(
            "--speed", min=0, help="Let the head grow by this many chain seconds a second; left out: all there."
        ),
    ] = None,
) -> None:
    """Serves recordings as JSON-RPC nodes over HTTP: a chain without a chain.

    A question that was not recorded gets an error, never an invented answer. The caps answer like real providers do.

    Example: [cyan]backstop replay crash-2021-05-simulated --range-cap 2000[/]

    Next: point BACKSTOP_RPC_URLS at the addresses it prints and run [cyan]backstop index[/].
    """
    from app import recordings

    data_dir = settings_of(ctx).data_dir
    recordings.replay_command(
        [recordings.find_recording(file, data_dir) for file in files],
        host=host,
        port=port,
        options=recordings.ReplayOptions(range_cap, result_cap, latency_ms / 1000, speed),
    )


@cli.command("record", rich_help_panel=CHAIN_DATA)
def record_node(
    ctx: typer.Context,
    *,
    url: Annotated[str, typer.Argument(metavar="URL", help="The JSON-RPC node to stand in front of.")],
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="Recording to write, ending in .jsonl.zst.")],
    slug: Annotated[str, typer.Option("--slug", help="Short name in addresses.")] = "chain-recorded",
    title: Annotated[str, typer.Option("--title", help="What was recorded, in words.")] = "A recorded chain",
    chain_id: Annotated[
        int | None, typer.Option("--chain-id", min=1, help="Id the replay answers; left out, 4 and today's date.")
    ] = None,
    host: Annotated[str, typer.Option("--host", help="Address of the proxy.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="Port of the proxy; 0: a free one.")] = 8546,
) -> None:
    """Stands in front of a node and writes down what passes: headers, logs, calls, storage. It keeps no contract code.

    Example: [cyan]backstop record https://my-node.example --out today.jsonl.zst[/]

    Next: point BACKSTOP_RPC_URLS at the proxy, run [cyan]backstop index --once[/], stop the proxy with Ctrl-C,
    then [cyan]backstop replay today.jsonl.zst[/] gives the same answers again.
    """
    from app import recordings

    settings_of(ctx)
    options = recordings.RecordOptions(slug, title, chain_id or recordings.id_of_today())
    recordings.record_command(url, out, host=host, port=port, options=options)


@cli.command("import", rich_help_panel=CHAIN_DATA)
def import_real_data(
    ctx: typer.Context,
    *,
    name: Annotated[str, typer.Argument(metavar="NAME", help="aave-v2-2021, drift-2022, or all.")],
) -> None:
    """Makes recordings from the real data in the folder that BACKSTOP_REAL_DATA names.

    They go to the data directory and are never part of the project. An import that is there already is made anew.

    Example: [cyan]BACKSTOP_REAL_DATA=../data backstop import all[/]

    Next: [cyan]backstop demo[/] shows them beside the simulated crash.
    """
    from app import recordings

    recordings.import_command(settings_of(ctx), name)


@cli.command("check-fund", rich_help_panel=CHAIN_DATA)
def check_fund_file(
    ctx: typer.Context,
    *,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A fund file (*.toml).")],
    offline: Annotated[bool, typer.Option("--offline", help="Check the file only; ask no chain.")] = False,
) -> None:
    """Checks a fund file: every key, then that its contracts are there and answer what the adapter will ask.

    Example: [cyan]backstop check-fund indexer/funds/my-fund.toml --offline[/]

    Next: [cyan]backstop index --once --funds indexer/funds[/] reads it.
    """
    from app import check

    check.check_command(settings_of(ctx), file, is_offline=offline)


@database.command("upgrade")
def upgrade_database(ctx: typer.Context) -> None:
    """Makes the tables or brings them to the newest version; safe to run twice.

    Example: [cyan]BACKSTOP_DATABASE_URL=postgresql://me@localhost/backstop backstop db upgrade[/]

    Next: [cyan]backstop run[/], or [cyan]backstop index --once[/].
    """
    from app import databases

    databases.upgrade_command(settings_of(ctx))


@database.command("check")
def check_database(ctx: typer.Context) -> None:
    """Says whether the database answers and has the newest tables, and what each chain and table holds.

    Example: [cyan]backstop db check[/]

    Next: [cyan]backstop db upgrade[/] if it says so.
    """
    from app import databases

    databases.check_command(settings_of(ctx))


def main() -> None:
    """What the command `backstop` runs."""
    cli()
