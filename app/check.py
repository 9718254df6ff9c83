"""`backstop check-fund`: a fund file by itself, then its contracts and what the adapter will ask them."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

from rich.text import Text

from app.failures import CommandError, Exit
from app.providers import providers_of
from app.screens import Column, say, show_table
from app.settings import Settings
from indexer.adapter import Known, Read
from indexer.registry import CHAIN_FILE, LIVE_CHAINS, adapter_for, check_fund, load_chains
from indexer.rpc.bridge import read_implementation
from indexer.rpc.errors import ChainError
from indexer.rpc.pool import ProviderPool
from indexer.rpc.reader import CallAnswer, Header
from indexer.specs import ChainSpec, FundSpec
from ledger.numbers import format_count

READS_SHOWN = 40


def check_command(settings: Settings, file: Path, *, is_offline: bool) -> None:
    """Checks the file and, unless told not to, its chain; raises what is wrong as one line."""
    fund = check_fund(file)
    say(f"{file}: {fund.name}, shape {fund.shape}, {format_count(len(fund.assets), 'asset')}: every key is in order")
    own = file.parent / CHAIN_FILE
    chain = next(chain for chain in load_chains(own if own.exists() else LIVE_CHAINS) if chain.id == fund.chain)
    if is_offline:
        return
    if chain.is_venue:
        say(f"{chain.name} is a venue: what it answers is checked at each poll; nothing to ask beforehand")
        return
    problems = asyncio.run(check_on_chain(chain, fund, providers_of(chain, settings)))
    if problems:
        raise CommandError(f"{file}: {'; '.join(problems)}", Exit.INCOMPLETE)
    say("Next: backstop index --once reads it.")


async def check_on_chain(chain: ChainSpec, fund: FundSpec, urls: Sequence[str]) -> list[str]:
    """What is wrong with the contracts at the head, one text each; shows every answer. Raises ChainError."""
    async with ProviderPool(chain, urls) as pool:
        head = await pool.header("latest")
        if head is None:
            raise ChainError(f"{chain.name}: nobody names its latest block; set BACKSTOP_RPC_URLS")
        say(f"{chain.name} answers; its head is block {head.number:,} of {head.time:%Y-%m-%d %H:%M} UTC")
        missing = await find_missing(pool, fund, head)
        await show_implementations(pool, fund)
        reads = adapter_for(fund).scheduled_reads(Known())
        answers = await pool.calls([read.call for read in reads], head)
    show_answers(reads, answers)
    failed = [
        f"{read.call.signature}: {answer.error}" for read, answer in zip(reads, answers, strict=True) if answer.error
    ]
    # The table above has them all; the line that remains names the first.
    more = f" (and {len(failed) - 1} more, in the table)" if len(failed) > 1 else ""
    return missing + [reason + more for reason in failed[:1]]


async def find_missing(pool: ProviderPool, fund: FundSpec, head: Header) -> list[str]:
    """Contracts of the file that have no code at the head. A reserve may be a plain account: that is only said."""
    missing = []
    for name, address in fund.contracts.items():
        if await pool.code(address, head.number):
            continue
        if fund.shape == "address_fund":
            say(f"{name} {address} is a plain account: its first block cannot be found, the file needs start_block")
        else:
            missing.append(f"contracts.{name} = {address} has no code on {chain_name(fund)}: check address and chain")
    return missing


async def show_implementations(pool: ProviderPool, fund: FundSpec) -> None:
    """Which contracts are proxies, and for which code: the code decides, not the address."""
    for name, address in fund.contracts.items():
        try:
            implementation = await read_implementation(pool, address)
        except ChainError as error:
            say(f"Whether its contracts are proxies is unknown ({error})")
            return
        if implementation:
            say(f"{name} {address} is a proxy and runs the code at {implementation}")


def chain_name(fund: FundSpec) -> str:
    """How a message names the fund's chain."""
    return f"chain {fund.chain}"


def show_answers(reads: Sequence[Read], answers: Sequence[CallAnswer]) -> None:
    """A table of calls and what they answered."""
    rows: list[list[str | Text]] = []
    for read, answer in list(zip(reads, answers, strict=True))[:READS_SHOWN]:
        named = ", ".join(value.name for value in read.values)
        said = Text(answer.error, style="red") if answer.error else Text(", ".join(map(str, answer.values or ())))
        rows.append([named, read.call.signature, read.call.to, said])
    show_table("What the adapter asks", (Column("Reading"), Column("Call"), Column("Contract"), Column("Answer")), rows)
    if len(reads) > READS_SHOWN:
        say(f"and {len(reads) - READS_SHOWN} more")
