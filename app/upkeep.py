"""The commands for when numbers are in doubt: gaps, audit, rebuild, resume. The work is done in inspection.py.

It is imported by the command that needs it: `--help` answers at once and opens no room.
"""

from pathlib import Path
from typing import Annotated

import typer

DOUBT = "When numbers are in doubt"

upkeep = typer.Typer(rich_markup_mode="rich")

Funds = Annotated[
    Path | None,
    typer.Option("--funds", metavar="DIR", help="Directory of fund files; BACKSTOP_FUNDS_DIR or the shipped ones."),
]
ChainName = Annotated[str, typer.Argument(metavar="CHAIN", help="The chain, by slug or id.")]


@upkeep.command("gaps", rich_help_panel=DOUBT)
def list_gaps(
    ctx: typer.Context,
    *,
    chain: Annotated[str | None, typer.Argument(metavar="[CHAIN]", help="Only this chain, by slug or id.")] = None,
    funds: Funds = None,
    as_json: Annotated[bool, typer.Option("--json", help="Every interval with the rungs it passed, as JSON.")] = False,
) -> None:
    """Lists the blocks of each fund that nobody scanned, and how well the others are verified.

    Between a fund's first block and the last one followed every block should be scanned. Rungs: 0 the answer agrees
    with itself, 1 its provider had reached the range's end, 2 header blooms asked, 3 a second provider gave the same
    logs, 4 proved by receiptsRoot, 5 flows explain the balances. Polled venues have no blocks and are left out.
    Exit code 0 without holes, 7 with some.

    Example: [cyan]backstop gaps[/], or [cyan]backstop gaps ethereum --json[/]

    Next: [cyan]backstop index --once[/] fills the holes it lists.
    """
    from app import inspection

    inspection.gaps_command(ctx.obj.settings(funds_dir=funds), chain, as_json=as_json)


@upkeep.command("audit", rich_help_panel=DOUBT)
def audit_range(
    ctx: typer.Context,
    *,
    chain: ChainName,
    first: Annotated[int, typer.Argument(metavar="FROM", min=0, help="First block.")],
    last: Annotated[int, typer.Argument(metavar="TO", min=0, help="Last block; it must be final.")],
    receipts: Annotated[bool, typer.Option("--receipts", help="Prove every block's logs by its receipts.")] = False,
    sample: Annotated[int, typer.Option("--sample", min=0, metavar="N", help="Prove this many blocks instead.")] = 0,
    seed: Annotated[int, typer.Option("--seed", help="Which blocks --sample takes: the same seed, the same ones.")] = 0,
    repair: Annotated[bool, typer.Option("--repair", help="Put back logs that are missing, with their facts.")] = False,
) -> None:
    """Verifies a range of final blocks again from the chain and compares it with what the ledger holds.

    Headers must hang together, two providers must give the same logs where there are two, receipts must hash to
    receiptsRoot where they are asked for. Then every stored log must be on the chain, and every log of the chain
    stored. Exit code 0 when all agrees or was put back, 7 when something differs.

    Example: [cyan]backstop audit ethereum 19000000 19000500 --sample 20 --seed 7[/]

    Next: [cyan]backstop audit … --repair[/] puts back what is missing, [cyan]backstop compute[/] counts it.
    """
    from app import inspection
    from indexer.audit import AuditPlan

    plan = AuditPlan(first, last, None if receipts else sample, seed, repair)
    inspection.audit_command(ctx.obj.settings(), chain, plan)


@upkeep.command("rebuild", rich_help_panel=DOUBT)
def rebuild_facts(
    ctx: typer.Context,
    *,
    chain: Annotated[str | None, typer.Option("--chain", metavar="SLUG", help="Only this chain (slug or id).")] = None,
    fund: Annotated[str | None, typer.Option("--fund", metavar="SLUG", help="Only this fund.")] = None,
    funds: Funds = None,
) -> None:
    """Decodes all stored logs anew into facts, without asking any provider.

    After a decoder was mended, or to see that facts are what their logs say: with the same decoder nothing changes.
    One transaction a fund: killed in the middle, it leaves the facts as they were. Facts of polled venues have no logs
    and stay. Stop [cyan]backstop run[/] first; it would have to wait.

    Example: [cyan]backstop rebuild --fund perp-v2[/]

    Next: [cyan]backstop compute[/] works out metrics from the facts.
    """
    from app import inspection

    inspection.rebuild_command(ctx.obj.settings(funds_dir=funds), chain=chain, fund=fund)


@upkeep.command("resume", rich_help_panel=DOUBT)
def resume_halted(
    ctx: typer.Context,
    *,
    chain: ChainName,
    rewind_to: Annotated[
        int | None,
        typer.Option("--rewind-to", metavar="N", min=0, help="Forget blocks above N; they are fetched again."),
    ] = None,
) -> None:
    """Sets a halted chain going again, once you know why it halted.

    A chain halts when a block that was final changed: nothing is deleted then. Compare providers first. Without
    --rewind-to it halts again at the next look, unless the providers have come to agree with the ledger.

    Example: [cyan]backstop resume ethereum --rewind-to 19000000[/]

    Next: [cyan]backstop index --once --chain ethereum[/] follows it again.
    """
    from app import inspection

    inspection.resume_command(ctx.obj.settings(), chain, rewind_to)
