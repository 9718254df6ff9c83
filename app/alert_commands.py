"""The commands about alerts: test a channel, list and repeat deliveries, read a bounce. The work is in alert_desk.py.

It is imported by the command that needs it: `--help` answers at once and opens no room.
"""

from typing import Annotated

import typer

alert = typer.Typer(
    no_args_is_help=True,
    help="""Tests channels, lists and repeats deliveries, and reads mails that came back.

Example: [cyan]backstop alert test on-call[/]""",
)


@alert.command("test")
def test_channel(
    ctx: typer.Context,
    *,
    channel: Annotated[
        str,
        typer.Argument(
            metavar="CHANNEL",
            help="An e-mail address, a name of BACKSTOP_OPERATOR_URLS, or the address of a webhook that is known.",
        ),
    ],
) -> None:
    """Sends a test message at once and says what the other side answered.

    It goes past the outbox: nothing is recorded, nothing is tried again. Exit code 5 where it was not taken.

    Example: [cyan]backstop alert test me@example.org[/], or [cyan]backstop alert test on-call[/]

    Next: [cyan]backstop run[/] sends what the rules announce.
    """
    from app import alert_desk

    alert_desk.test_command(ctx.obj.settings(), channel)


@alert.command("list")
def list_deliveries(
    ctx: typer.Context,
    *,
    limit: Annotated[int, typer.Option("--limit", min=1, max=10_000, help="How many, the newest first.")] = 30,
    failed: Annotated[bool, typer.Option("--failed", help="Only those that were given up.")] = False,
) -> None:
    """Lists deliveries with their ids: to whom, what, how they stand.

    Example: [cyan]backstop alert list --failed[/]

    Next: [cyan]backstop alert replay ID[/] sends one again.
    """
    from app import alert_desk

    alert_desk.list_command(ctx.obj.settings(), limit, is_failed=failed)


@alert.command("replay")
def replay_delivery(
    ctx: typer.Context,
    *,
    delivery: Annotated[int, typer.Argument(metavar="ID", min=1, help="A delivery, as `backstop alert list` shows.")],
) -> None:
    """Puts a delivery that has ended back into the outbox, under its old message id.

    Whoever has it already can tell by that id. The schedule of retries starts anew.

    Example: [cyan]backstop alert replay 4711[/]

    Next: [cyan]backstop run[/] or [cyan]backstop worker[/] sends it.
    """
    from app import alert_desk

    alert_desk.replay_command(ctx.obj.settings(), delivery)


@alert.command("bounce")
def read_bounce(ctx: typer.Context) -> None:
    """Reads a mail that came back from standard input and switches its address off where the report is final.

    Let the mail server pipe the mailbox of BACKSTOP_MAIL_BOUNCES into it (Postfix: an alias with a |command).
    Other mails are left alone and end with code 0, so that the mail server does not try again.

    Example: [cyan]backstop alert bounce < report.eml[/]

    Next: [cyan]backstop alert list --failed[/] shows what it did.
    """
    from app import alert_desk

    alert_desk.bounce_command(ctx.obj.settings())
