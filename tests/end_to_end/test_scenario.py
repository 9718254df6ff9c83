"""The scenario with another seed on a real node: what the ledger says is what the chain says when asked directly.

Everything is asked beside the indexer, by a decoder of its own; the play is indexed once from the node into SQLite and
once from its recording into Postgres.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from ledger.kinds import Contribution, Role, Side
from tests.rigs.direct_chain import Emission, Question, Reverted, by_tx
from tests.rigs.played_scenario import (
    OTHER_SEED,
    Deployment,
    PlayedScenario,
    Row,
    fill,
    index_replayed,
    played_scenario,
)
from tests.rigs.postgres import PostgresRig

LARGE, SMALL = "perp-v2-large-simulated", "perp-v2-small-simulated"
MORPHO, RESERVE = "morpho-blue-simulated", "reserve-simulated"
PERPS = (LARGE, SMALL)
LARGEST_RESIDUAL = 8
"""Units of 1e-6 USDC by which Σ flows miss the capacity at most: measured 1 to 4 in short plays, 6 in this one."""
FUND_SHARE_PERCENT = 20
E12 = 10**12
POSITION_CHANGED = "PositionChanged(address*,address*,int256,int256,uint256,int256,int256,uint256)"
POSITION_CLOSED = "PositionClosed(address*,address*,int256,int256,int256,int256,uint256)"
POSITION_LIQUIDATED = "PositionLiquidated(address*,address*,uint256,uint256,uint256,address)"
BAD_DEBT_SETTLED = "BadDebtSettled(address*,uint256)"
COLLATERAL_LIQUIDATED = "CollateralLiquidated(address*,address*,address*,uint256,uint256,uint256,uint24)"
MORPHO_LIQUIDATE = "Liquidate(bytes32*,address*,address*,uint256,uint256,uint256,uint256,uint256)"
DEPOSITED = "Deposited(address*,address*,uint256)"
WITHDRAWN = "Withdrawn(address*,address*,uint256)"
PNL_REALIZED = "PnlRealized(address*,int256)"
TRANSFER = "Transfer(address*,address*,uint256)"


@pytest.fixture(scope="module")
def scenario(
    anvil: Path, node_modules: Path, migrated_sqlite: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[PlayedScenario]:
    folder = tmp_path_factory.mktemp("played")
    ledger = folder / "ledger.sqlite"
    ledger.write_bytes(migrated_sqlite.read_bytes())
    with played_scenario(folder, f"sqlite:///{ledger}", anvil=anvil, node_modules=node_modules) as played:
        print(f"seed {OTHER_SEED}, head {played.head}, {len(played.tables['fact'])} facts")
        yield played


def moments(scenario: PlayedScenario) -> list[int]:
    """The blocks of the play's marks, and its head."""
    return [*(mark["block"] for mark in scenario.manifest["marks"].values()), scenario.head]


def traders_of(scenario: PlayedScenario, perp: Deployment) -> set[str]:
    """Every account that ever traded, from raw logs."""
    house = perp.contracts["ClearingHouse"]
    return {
        str(log.values[0])
        for event in (POSITION_CHANGED, POSITION_CLOSED)
        for log in scenario.chain.logs(house, event, last=scenario.head)
    }


def sizes_at(scenario: PlayedScenario, perp: Deployment, block: int) -> dict[tuple[str, str], int]:
    """getTakerPositionSize of everyone who ever traded, in every market, zeros left out."""
    pairs = [(who, base) for who in sorted(traders_of(scenario, perp)) for base in perp.markets.values()]
    signature, balance = "getTakerPositionSize(address,address)", perp.contracts["AccountBalance"]
    answers = scenario.chain.calls([Question(balance, signature, pair, ("int256",)) for pair in pairs], block)
    return {pair: size for pair, size in zip(pairs, answers, strict=True) if size != 0}


def capacities(scenario: PlayedScenario, perp: Deployment, blocks: list[int]) -> list[int]:
    """getInsuranceFundCapacity at each block."""
    question = Question(perp.contracts["InsuranceFund"], "getInsuranceFundCapacity()", (), ("int256",))
    return scenario.chain.calls_at([(question, block) for block in blocks])


def account_values(scenario: PlayedScenario, perp: Deployment, account: str, blocks: list[int]) -> list[int]:
    """getAccountValue at each block, 18 decimals."""
    question = Question(perp.contracts["ClearingHouse"], "getAccountValue(address)", (account,), ("int256",))
    return scenario.chain.calls_at([(question, block) for block in blocks])


def scheduled_blocks(scenario: PlayedScenario, slug: str) -> list[int]:
    """Heights at which everything of a segment was read."""
    segment = scenario.segment(slug)
    snapshots = scenario.tables["snapshot"]
    return sorted(r["block_number"] for r in snapshots if r["segment_id"] == segment and r["kind"] == "scheduled")


def seconds_of(scenario: PlayedScenario, block: int) -> int:
    """A block's time, from the node."""
    return int(scenario.chain.ask("eth_getBlockByNumber", hex(block), False)["timestamp"], 16)


def test_every_segment_was_read_and_reconciled_up_to_the_head(scenario: PlayedScenario) -> None:
    assert {row["slug"]: row["status"] for row in scenario.tables["segment"]} == dict.fromkeys(
        (LARGE, SMALL, MORPHO, RESERVE), "ok"
    )
    (chain,) = scenario.tables["chain"]
    assert chain["head_number"] == scenario.head
    unread = [row for row in scenario.tables["reading"] if row["value_raw"] is None]
    assert not unread, unread[:3]


@pytest.mark.parametrize("slug", PERPS)
def test_positions_from_events_are_what_the_contract_says_of_every_account_that_ever_traded(
    scenario: PlayedScenario, slug: str
) -> None:
    perp = scenario.perps[slug]
    assert len(traders_of(scenario, perp)) >= 30
    for block in moments(scenario):
        sums: Counter[tuple[str, str]] = Counter()
        for fact in scenario.facts(slug, Role.EXPOSURE_CHANGE, last=block):
            if fact["side"] == Side.POSITION:
                sums[fact["account"], fact["market"]] += fact["amount_raw"]
        indexed = {pair: size for pair, size in sums.items() if size != 0}
        direct = sizes_at(scenario, perp, block)
        print(f"{slug}, block {block}: {len(direct)} open positions")
        assert direct
        assert indexed == direct


@pytest.mark.parametrize("slug", PERPS)
def test_published_open_interest_is_the_sum_of_positions_at_the_contracts_own_price(
    scenario: PlayedScenario, slug: str
) -> None:
    perp = scenario.perps[slug]
    row = max(scenario.metrics(slug, "exposure").values(), key=lambda metric: metric["as_of_number"])
    block = row["as_of_number"]
    assert block == scheduled_blocks(scenario, slug)[-1]
    sizes = sizes_at(scenario, perp, block)
    published = {market["market"]: market for market in row["detail"]["markets"]}
    assert set(published) == set(perp.markets.values())
    total = Decimal(0)
    for base in perp.markets.values():
        price = scenario.chain.call(Question(base, "getIndexPrice(uint256)", (0,)), block)
        longs, shorts = (
            Decimal(
                sum(sign * size for (_, market), size in sizes.items() if market == base and sign * size > 0) * price
            )
            / 10**36
            for sign in (1, -1)
        )
        assert Decimal(published[base]["long_usd"]) == pytest.approx(longs, abs=Decimal("0.01"))
        assert Decimal(published[base]["short_usd"]) == pytest.approx(shorts, abs=Decimal("0.01"))
        total += max(longs, shorts)
    assert row["value"] == pytest.approx(total, abs=Decimal("0.02"))
    assert total > 1_000_000


@pytest.mark.parametrize("slug", PERPS)
def test_the_sum_of_flows_is_the_funds_capacity_at_every_mark_and_every_bad_debt(
    scenario: PlayedScenario, slug: str
) -> None:
    perp = scenario.perps[slug]
    settled = scenario.chain.logs(perp.contracts["Vault"], BAD_DEBT_SETTLED, last=scenario.head)
    blocks = sorted({*moments(scenario), *(log.block for log in settled), *scheduled_blocks(scenario, slug)[::20]})
    direct = capacities(scenario, perp, blocks)
    plain = [capacity - scenario.flow_sum(slug, block) for block, capacity in zip(blocks, direct, strict=True)]
    # A fact holds whole units: what PnlRealized (18 decimals) carries below one is added back before comparing.
    account_balance, vault, fund = (perp.contracts[name] for name in ("AccountBalance", "Vault", "InsuranceFund"))
    realized = [
        log for log in scenario.chain.logs(account_balance, PNL_REALIZED, last=scenario.head) if log.values[0] == fund
    ]
    below = [sum(log.values[1] % E12 for log in realized if log.block <= block) // E12 for block in blocks]
    residuals = [rest - floored for rest, floored in zip(plain, below, strict=True)]
    # Realized profit enters the vault at a deposit or withdrawal of the fund, and what is below a unit is lost there.
    entered = [
        log.block
        for event in (DEPOSITED, WITHDRAWN)
        for log in scenario.chain.logs(vault, event, last=scenario.head)
        if log.values[1] == fund
    ]
    print(
        f"{slug}: {len(blocks)} blocks, residuals {min(residuals)} to {max(residuals)} units of 1e-6 USDC after "
        f"{len(entered)} settlements; {plain[-1]} with the {below[-1]} that {len(realized)} floored facts leave out"
    )
    assert len(settled) >= 20
    for block, residual in zip(blocks, residuals, strict=True):
        settlements = sum(1 for entry in entered if entry <= block)
        assert -1 - settlements <= residual <= 1, f"block {block}, {settlements} settlements: {residual} units"
    assert max(map(abs, residuals)) <= LARGEST_RESIDUAL
    if slug == SMALL:
        assert min(direct) < 0 < max(direct)


def test_morphos_totals_are_the_sums_of_events_to_the_last_unit_in_every_market(scenario: PlayedScenario) -> None:
    address = scenario.manifest["morpho"]["address"]
    markets = {market["id"] for market in scenario.manifest["morpho"]["markets"].values()}
    moving = (Role.EXPOSURE_CHANGE, Role.INTEREST_ACCRUED, Role.SOCIALISED_LOSS)
    for block in moments(scenario):
        sums: dict[str, Counter[str]] = defaultdict(Counter)
        for fact in scenario.facts(MORPHO, *moving, last=block):
            sums[fact["market"]][fact["side"] or fact["role"]] += fact["amount_raw"]
        for market in markets:
            question = Question(address, "market(bytes32)", (bytes.fromhex(market[2:]),), ("uint128",) * 6)
            supply, supply_shares, borrow, borrow_shares, _, _ = scenario.chain.call(question, block)
            mine = sums[market]
            earned, lost = mine[Role.INTEREST_ACCRUED], mine[Role.SOCIALISED_LOSS]
            assert (mine[Side.SUPPLY] + earned - lost, mine[Side.SUPPLY_SHARES]) == (supply, supply_shares)
            assert (mine[Side.DEBT] + earned, mine[Side.DEBT_SHARES]) == (borrow, borrow_shares)
    assert set(sums) == markets


def test_what_morphos_suppliers_lost_is_the_bad_debt_of_its_liquidations(scenario: PlayedScenario) -> None:
    logs = scenario.chain.logs(scenario.manifest["morpho"]["address"], MORPHO_LIQUIDATE, last=scenario.head)
    booked = sorted((log.block, log.values[-2]) for log in logs if log.values[-2])
    assert len(booked) >= 2
    for role in (Role.SHORTFALL, Role.SOCIALISED_LOSS):
        assert sorted((f["block_number"], f["amount_raw"]) for f in scenario.facts(MORPHO, role)) == booked


def test_the_reserve_agrees_to_the_last_unit(scenario: PlayedScenario) -> None:
    token, wallet = scenario.manifest["tokens"]["USDC"], scenario.manifest["reserve"]["address"]
    balance = Question(token, "balanceOf(address)", (wallet,))
    blocks = [*moments(scenario), *(row["block_number"] for row in scenario.facts(RESERVE))]
    direct = scenario.chain.calls_at([(balance, block) for block in blocks])
    assert direct == [scenario.flow_sum(RESERVE, block) for block in blocks]
    assert len(set(direct)) >= 20


def test_poison_transfers_and_lookalike_tokens_happened_and_are_no_facts(scenario: PlayedScenario) -> None:
    tokens, wallet = scenario.manifest["tokens"], scenario.manifest["reserve"]["address"].lower()
    empty = [
        log for log in scenario.chain.logs(tokens["USDC"], TRANSFER, last=scenario.head)
        if wallet in log.values[:2] and log.values[2] == 0
    ]  # fmt: skip
    fakes = [
        log for log in scenario.chain.logs(tokens["lookalike_USDC"], TRANSFER, last=scenario.head)
        if log.values[1] == wallet and log.values[2] > 0
    ]  # fmt: skip
    symbols = {
        scenario.chain.call(Question(tokens[name], "symbol()", (), ("string",)), scenario.head)
        for name in ("USDC", "lookalike_USDC")
    }
    print(f"{len(empty)} transfers of nothing, {len(fakes)} of a look-alike worth {sum(f.values[2] for f in fakes)}")
    assert symbols == {"USDC"}
    assert len(empty) >= 3
    assert len(fakes) >= 3
    poisoned = {log.tx for log in (*empty, *fakes)}
    assert not [fact for fact in scenario.tables["fact"] if fact["tx_hash"] in poisoned]
    lookalike = tokens["lookalike_USDC"].lower()
    assert lookalike not in {row["address"] for row in (*scenario.tables["raw_log"], *scenario.tables["asset"])}
    assert not [fact for fact in scenario.facts(RESERVE) if not fact["amount_raw"]]


def contributions(scenario: PlayedScenario, slug: str) -> dict[str, list[Row]]:
    """A fund's inflows by source."""
    found = defaultdict(list)
    for fact in scenario.facts(slug, Role.CONTRIBUTION):
        found[fact["source"]].append(fact)
    return found


def solvent_liquidations(scenario: PlayedScenario, perp: Deployment, liquidated: list[Emission]) -> list[Emission]:
    """Those whose account was worth 0 or more before the penalty: then the fund gets half of it, else nothing.

    Value before = getAccountValue after + penalty − what was written off in the same transaction; a liquidation has
    a block of its own in this play.
    """
    settled = by_tx(scenario.chain.logs(perp.contracts["Vault"], BAD_DEBT_SETTLED, last=scenario.head))
    house = perp.contracts["ClearingHouse"]
    asked = [
        (Question(house, "getAccountValue(address)", (log.values[0],), ("int256",)), log.block) for log in liquidated
    ]
    found = []
    for log, after in zip(liquidated, scenario.chain.calls_at(asked), strict=True):
        written_off = sum(debt.values[1] for debt in settled.get(log.tx, []) if debt.values[0] == log.values[0])
        if after + log.values[4] - written_off * E12 >= 0:
            found.append(log)
    return found


@pytest.mark.parametrize("slug", PERPS)
def test_liquidation_fees_are_half_the_penalties_of_solvent_accounts_and_the_collateral_fees(
    scenario: PlayedScenario, slug: str
) -> None:
    parts, last = scenario.perps[slug].contracts, scenario.head
    liquidated = scenario.chain.logs(parts["ClearingHouse"], POSITION_LIQUIDATED, last=last)
    solvent = solvent_liquidations(scenario, scenario.perps[slug], liquidated)
    halves = [(log.tx, log.values[4] // 2 // E12) for log in solvent]
    sold = scenario.chain.logs(parts["Vault"], COLLATERAL_LIQUIDATED, last=last)
    fees = [(log.tx, log.values[5]) for log in sold if log.values[5]]
    print(f"{slug}: {len(halves)} of {len(liquidated)} liquidations were solvent, {len(fees)} sales of collateral")
    assert 0 < len(halves) < len(liquidated)
    assert fees
    facts = contributions(scenario, slug)[Contribution.LIQUIDATION_FEE]
    assert sorted((fact["tx_hash"], fact["amount_raw"]) for fact in facts) == sorted([*halves, *fees])


@pytest.mark.parametrize("slug", PERPS)
def test_trading_fees_are_the_funds_share_of_what_traders_paid(scenario: PlayedScenario, slug: str) -> None:
    house = scenario.perps[slug].contracts["ClearingHouse"]
    paid = by_tx(scenario.chain.logs(house, POSITION_CHANGED, last=scenario.head))
    expected = {
        tx: share // E12
        for tx, logs in paid.items()
        if (share := sum(log.values[4] for log in logs) * FUND_SHARE_PERCENT // 100) >= E12
    }
    facts = contributions(scenario, slug)[Contribution.TRADING_FEE]
    counted: Counter[str] = Counter()
    for fact in facts:
        counted[fact["tx_hash"]] += fact["amount_raw"]
    wrong = {tx: (counted[tx], expected.get(tx)) for tx in {*counted, *expected} if counted[tx] != expected.get(tx)}
    print(f"{slug}: {len(expected)} trades with a fee, {sum(expected.values())} units; {wrong or 'none'} differ")
    assert len(expected) > 100
    assert all(abs(got - (meant or 0)) <= 1 for got, meant in wrong.values()), wrong


@pytest.mark.parametrize("slug", PERPS)
def test_top_ups_are_the_bare_transfers_of_the_dao_and_no_inflow_is_left_without_a_source(
    scenario: PlayedScenario, slug: str
) -> None:
    fund, dao = scenario.perps[slug].contracts["InsuranceFund"], scenario.manifest["actors"]["dao"].lower()
    transfers = scenario.chain.logs(scenario.manifest["tokens"]["USDC"], TRANSFER, last=scenario.head)
    given = [(log.tx, log.values[2]) for log in transfers if log.values[:2] == (dao, fund)]
    assert len(given) == {LARGE: 1, SMALL: 3}[slug]
    found = contributions(scenario, slug)
    assert sorted((fact["tx_hash"], fact["amount_raw"]) for fact in found[Contribution.TOP_UP]) == sorted(given)
    assert set(found) == {Contribution.TOP_UP, Contribution.TRADING_FEE, Contribution.LIQUIDATION_FEE}


@pytest.mark.parametrize("slug", PERPS)
def test_payouts_are_the_bad_debts_that_the_vault_settled(scenario: PlayedScenario, slug: str) -> None:
    settled = scenario.chain.logs(scenario.perps[slug].contracts["Vault"], BAD_DEBT_SETTLED, last=scenario.head)
    booked = [(log.block, log.index, *log.values) for log in settled if log.values[1]]
    for role in (Role.SHORTFALL, Role.PAYOUT):
        facts = scenario.facts(slug, role)
        assert sorted((f["block_number"], f["log_index"], f["account"], f["amount_raw"]) for f in facts) == booked


def unbooked(scenario: PlayedScenario, slug: str) -> list[tuple[int, Row]]:
    """(block, account row) of each day's unbooked loss."""
    days = scenario.metrics(slug, "unbooked_loss").values()
    return [(row["as_of_number"], account) for row in days for account in (row["detail"] or {}).get("accounts", [])]


def test_the_contract_itself_refuses_to_liquidate_every_account_marked_refused(scenario: PlayedScenario) -> None:
    perp, keeper = scenario.perps[SMALL], scenario.manifest["actors"]["keepers"][0]
    last = scheduled_blocks(scenario, SMALL)[-1]
    asked, closed, at_last = 0, 0, 0
    for block, row in unbooked(scenario, SMALL):
        account = row["account"]
        state = [Question(base, "isOpen()", (), ("bool",)) for base in perp.markets.values()]
        are_open = dict(zip(perp.markets.values(), scenario.chain.calls(state, block), strict=True))
        held = [market for who, market in sizes_at(scenario, perp, block) if who == account]
        tradable = [market for market in held if are_open[market]]
        assert held, f"{account} has nothing open at block {block}"
        if not tradable:
            assert not row["is_refused"]
            closed += 1
            continue
        attempts = [
            Question(perp.contracts["ClearingHouse"], "liquidate(address,address)", (account, market), (), keeper)
            for market in tradable
        ]
        answers = scenario.chain.calls(attempts, block)
        assert row["is_refused"] == (answers[0] == Reverted("CH_IIC")), f"{account} at block {block}: {answers}"
        assert len(set(answers)) == 1
        asked += 1
        at_last += block == last
    print(f"{asked} accounts asked, {at_last} of them at the last snapshot; {closed} only in a closed market")
    assert at_last >= 1
    assert closed >= 3


def test_an_account_below_zero_is_dated_at_the_first_hour_in_which_the_contract_says_so(
    scenario: PlayedScenario,
) -> None:
    perp, hours = scenario.perps[SMALL], scheduled_blocks(scenario, SMALL)
    rows = {(row["account"], row["since_block"]): block for block, row in unbooked(scenario, SMALL)}
    dates = {row["since_block"]: row["since"] for _, row in unbooked(scenario, SMALL)}
    assert len(rows) >= 5
    for (account, since), block in rows.items():
        before = max(hour for hour in hours if hour < since)
        spell = [hour for hour in hours if since <= hour <= block]
        healthy, *sick = account_values(scenario, perp, account, [before, *spell])
        assert healthy >= 0, f"{account} was below zero before block {since}"
        assert max(sick) < 0, f"{account} recovered between blocks {since} and {block}"
    for since, date in dates.items():
        assert date == datetime.fromtimestamp(seconds_of(scenario, since), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def test_the_unbooked_loss_is_the_sum_of_negative_account_values_at_the_price_of_usdc(
    scenario: PlayedScenario,
) -> None:
    perp, feed = scenario.perps[SMALL], scenario.manifest["aggregators"]["USDC"]
    days = [row for row in scenario.metrics(SMALL, "unbooked_loss").values() if row["value"]]
    assert days
    for row in days:
        block, accounts = row["as_of_number"], sorted(traders_of(scenario, perp))
        price = scenario.chain.call(Question(feed, "latestAnswer()", (), ("int256",)), block)
        values = [account_values(scenario, perp, account, [block])[0] for account in accounts]
        negative = {account: value for account, value in zip(accounts, values, strict=True) if value < 0}
        assert set(negative) == {account["account"] for account in row["detail"]["accounts"]}
        deficit = Decimal(-sum(negative.values()) * price) / 10**26
        assert row["value"] == pytest.approx(deficit, abs=Decimal("0.05"))


def test_the_loss_of_the_paused_market_is_published_12_hours_before_it_was_booked(scenario: PlayedScenario) -> None:
    perp, market = scenario.perps[SMALL], scenario.perps[SMALL].markets["vALT"]
    closing = scenario.manifest["marks"]["alt_closed"]["block"]
    quits = {
        log.tx: log.values[0]
        for log in scenario.chain.logs(perp.contracts["ClearingHouse"], POSITION_CLOSED, last=scenario.head)
        if log.values[1] == market and log.block >= closing
    }
    settled = scenario.chain.logs(perp.contracts["Vault"], BAD_DEBT_SETTLED, last=scenario.head)
    booked = {log.values[0]: log for log in settled if quits.get(log.tx) == log.values[0]}
    published = scenario.metrics(SMALL, "unbooked_loss")["2021-05-19"]
    known = {row["account"]: row for row in published["detail"]["accounts"]}
    first = min(log.block for log in booked.values())
    assert len(booked) >= 5
    assert published["as_of_number"] < first
    for account, log in booked.items():
        hours = (seconds_of(scenario, log.block) - seconds_of(scenario, known[account]["since_block"])) / 3600
        print(f"{account}: {log.values[1]} units booked {hours:.1f} h after the account fell below zero")
        assert hours >= 12
    (capacity,) = capacities(scenario, perp, [published["as_of_number"]])
    assert 0 < capacity < sum(log.values[1] for log in booked.values())
    assert published["value"] > capacity // 10**6


def test_a_replay_of_the_recording_fills_postgres_with_the_same_rows_and_metrics(
    scenario: PlayedScenario, postgres: PostgresRig, migrated_postgres: str
) -> None:
    url = postgres.create_database(template=migrated_postgres)
    replayed = fill(url, lambda engine: index_replayed(engine, scenario.recording))
    postgres.drop_database(url)
    for name in ("fund", "asset", "segment", "raw_log", "fact", "reading", "price", "snapshot", "metric"):
        assert len(scenario.tables[name]) == len(replayed[name]), name
        for mine, theirs in zip(scenario.tables[name], replayed[name], strict=True):
            assert mine == theirs, name
    assert len(replayed["metric"]) > 5_000
