"""Reads and validates fund and chain files, copies them into the ledger, and makes each fund's adapter."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

import msgspec
from sqlmodel import Session

from indexer.adapter import Adapter, AdapterError, Remembering
from indexer.adapters.aave_v2 import AaveV2
from indexer.adapters.address_fund import AddressFund
from indexer.adapters.morpho_blue import MorphoBlue
from indexer.adapters.perp_v2_curie import PerpV2Curie
from indexer.lanes import Tracked
from indexer.specs import AssetSpec, ChainSpec, FundFileError, FundSpec, RegistryError, load_chain_file, load_fund_file
from ledger.facts import list_markets
from ledger.funds import find_segment_ids, hold_registry, save_assets, save_chains, save_funds, save_segments
from ledger.kinds import Shape, SourceKind
from ledger.logs import list_asset_ids
from ledger.standing import find_starts
from ledger.tables import Asset, Chain, Fund, Platform, Segment

__all__ = [
    "AssetSpec", "ChainSpec", "FundFileError", "FundSpec", "Registry", "RegistryError", "adapter_for", "check_fund",
    "load_chains", "load_funds", "merged", "tracked", "write",
]  # fmt: skip

HERE = Path(__file__).parent
FUNDS = HERE / "funds"
LIVE_CHAINS = HERE / "chains.toml"
CHAIN_FILE = "chain.toml"

ADAPTERS: Mapping[Shape, Callable[[FundSpec], Adapter]] = {
    Shape.PERP_V2_CURIE: PerpV2Curie,
    Shape.MORPHO_BLUE: MorphoBlue,
    Shape.ADDRESS_FUND: AddressFund,
    Shape.AAVE_V2: AaveV2,
}
VENUE_SHAPES = frozenset({Shape.DRIFT})


@dataclass(frozen=True)
class Registry:
    """Chains and funds as their files say, each sorted; `digests`: fund slug → sha256 of its file."""

    chains: tuple[ChainSpec, ...]
    funds: tuple[FundSpec, ...]
    digests: Mapping[str, str] = field(default_factory=dict)

    def chain(self, chain_id: int) -> ChainSpec:
        """The chain of that id; raises RegistryError."""
        found = next((chain for chain in self.chains if chain.id == chain_id), None)
        if found is None:
            raise RegistryError(f"no chain file describes chain {chain_id}")
        return found

    def funds_of(self, chain_id: int) -> tuple[FundSpec, ...]:
        """The funds on one chain."""
        return tuple(fund for fund in self.funds if fund.chain == chain_id)


def adapter_for(fund: FundSpec) -> Adapter:
    """The adapter of the fund's shape; raises AdapterError where its file lacks what the shape needs."""
    if fund.shape not in ADAPTERS:
        raise AdapterError(f"shape {fund.shape} is polled from a venue and has no contract adapter")
    return ADAPTERS[fund.shape](fund)


def load_chains(path: Path = LIVE_CHAINS) -> tuple[ChainSpec, ...]:
    """The chains of a file, by id; raises FundFileError."""
    return tuple(sorted(load_chain_file(path), key=lambda chain: chain.id))


def load_funds(directory: Path = FUNDS) -> Registry:
    """The funds of one folder with their chains: a recording's folder has its own chain.toml, others use chains.toml.

    Sub-folders are other recordings and are not entered. Raises FundFileError naming file and key.
    """
    if not directory.is_dir():
        raise FundFileError(f"{directory}: there is no such folder of fund files")
    own = directory / CHAIN_FILE
    chains = load_chains(own if own.exists() else LIVE_CHAINS)
    paths = sorted(path for path in directory.glob("*.toml") if path.name != CHAIN_FILE)
    funds = [check_fund(path, chains=chains) for path in paths]
    digests = {fund.slug: sha256(path.read_bytes()).hexdigest() for path, fund in zip(paths, funds, strict=True)}
    used = {fund.chain for fund in funds}
    return checked(Registry(tuple(chain for chain in chains if chain.id in used), sorted_funds(funds), digests))


def merged(registries: Iterable[Registry]) -> Registry:
    """Several folders as one registry; raises RegistryError where they contradict each other."""
    parts = list(registries)
    chains = tuple(sorted({chain for part in parts for chain in part.chains}, key=lambda chain: chain.id))
    funds = sorted_funds(fund for part in parts for fund in part.funds)
    digests = {slug: digest for part in parts for slug, digest in part.digests.items()}
    return checked(Registry(chains, funds, digests))


def sorted_funds(funds: Iterable[FundSpec]) -> tuple[FundSpec, ...]:
    """Funds by slug."""
    return tuple(sorted(funds, key=lambda fund: fund.slug))


def checked(registry: Registry) -> Registry:
    """The same registry; raises RegistryError for a slug or chain id used twice, or assets that disagree."""
    names: tuple[tuple[str, list[str]], ...] = (
        ("fund slug", [fund.slug for fund in registry.funds]),
        ("chain id", [str(chain.id) for chain in registry.chains]),
        ("chain slug", [chain.slug for chain in registry.chains]),
    )
    for kind, keys in names:
        twice = next((key for key in keys if keys.count(key) > 1), None)
        if twice is not None:
            raise RegistryError(f"{kind} {twice} is used by two files: give one of them another")
    seen: dict[tuple[int, str], tuple[FundSpec, AssetSpec]] = {}
    for fund in registry.funds:
        for asset in fund.assets:
            other, same = seen.setdefault((fund.chain, asset.address), (fund, asset))
            if same != asset:
                raise RegistryError(
                    f"{other.slug} and {fund.slug} describe asset {asset.address} differently: "
                    f"{same} against {asset}; make the two [[assets]] alike"
                )
    return registry


def check_fund(path: Path, *, chains: Sequence[ChainSpec] | None = None) -> FundSpec:
    """One fund file, validated without any chain: keys, addresses, shape, chain. Raises FundFileError.

    chains: those it may name; by default the chain.toml beside it, else chains.toml.
    """
    if chains is None:
        own = path.parent / CHAIN_FILE
        chains = load_chains(own if own.exists() else LIVE_CHAINS)
    fund = load_fund_file(path)
    chain = next((chain for chain in chains if chain.id == fund.chain), None)
    if chain is None:
        known = ", ".join(str(chain.id) for chain in chains)
        raise FundFileError(f"{path}: chain = {fund.chain} is in no chain file (known: {known})")
    if chain.kind != SourceKind.LIVE and not fund.slug.endswith(chain.slug.rsplit("-", 1)[-1]):
        raise FundFileError(f'{path}: slug = "{fund.slug}" must end like its recording "{chain.slug}"')
    if chain.is_venue != (fund.shape in VENUE_SHAPES):
        raise FundFileError(f"{path}: shape {fund.shape} does not fit chain {chain.slug} (is_venue = {chain.is_venue})")
    if not chain.is_venue:
        try:
            adapter_for(fund)
        except AdapterError as error:
            raise FundFileError(f"{path}: {error}") from error
    return fund


def write(session: Session, registry: Registry) -> None:
    """Copies the files into the ledger, in sorted order; nothing is committed and what was found out stays."""
    hold_registry(session)
    save_chains(session, [chain_row(chain) for chain in registry.chains])
    platforms = {fund.platform.slug: fund.platform for fund in registry.funds}
    rows = [Platform(slug=spec.slug, name=spec.name, url=spec.url) for spec in platforms.values()]
    save_funds(session, rows, [fund_row(fund, registry.digests.get(fund.slug, "")) for fund in registry.funds])
    assets = {(fund.chain, asset.address): asset for fund in registry.funds for asset in fund.assets}
    save_assets(session, [asset_row(chain_id, asset) for (chain_id, _), asset in assets.items()])
    ids = {chain.id: list_asset_ids(session, chain.id) for chain in registry.chains}
    save_segments(session, [segment_row(fund, ids[fund.chain]) for fund in registry.funds])


def chain_row(chain: ChainSpec) -> Chain:
    """The chain as the ledger keeps it."""
    provenance = " ".join(text for text in (chain.provenance, chain.origin) if text)
    return Chain(
        chain_id=chain.id,
        slug=chain.slug,
        name=chain.name,
        kind=chain.kind,
        provenance=provenance,
        explorer=chain.explorer,
        is_venue=chain.is_venue,
    )


def asset_row(chain_id: int, asset: AssetSpec) -> Asset:
    """The asset as the ledger keeps it."""
    columns = msgspec.structs.asdict(asset)
    columns.pop("is_market")
    return Asset(chain_id=chain_id, **columns)


def fund_row(fund: FundSpec, digest: str) -> Fund:
    """The fund as the ledger keeps it."""
    return Fund(
        slug=fund.slug,
        platform_slug=fund.platform.slug,
        name=fund.name,
        kind=fund.kind,
        shape=fund.shape,
        chain_id=fund.chain,
        summary=fund.summary,
        methodology=fund.methodology,
        control=fund.control,
        contracts=dict(sorted(fund.contracts.items())),
        waterfall=[msgspec.structs.asdict(layer) for layer in fund.waterfall],
        sources=[msgspec.structs.asdict(source) for source in fund.sources],
        caveats=list(fund.caveats),
        file_digest=digest,
    )


def segment_row(fund: FundSpec, asset_ids: Mapping[str, int]) -> Segment:
    """The fund's one segment; its balance asset is NULL where it has no balance."""
    asset = fund.asset(fund.balance_asset) if fund.balance_asset else None
    return Segment(
        fund_slug=fund.slug,
        slug=fund.slug,
        name=fund.name,
        chain_id=fund.chain,
        asset_id=asset_ids[asset.address] if asset else None,
        start_number=fund.start_block,
    )


def tracked(session: Session, registry: Registry, chain_id: int) -> list[Tracked]:
    """What to index on a chain, by slug: ids from the ledger, adapters that remember the markets it holds.

    Venues have nothing to track. Raises AdapterError.
    """
    ids = find_segment_ids(session, chain_id)
    return [
        tracked_fund(session, fund, ids[fund.slug])
        for fund in registry.funds_of(chain_id)
        if fund.shape not in VENUE_SHAPES
    ]


def tracked_fund(session: Session, fund: FundSpec, segment_id: int) -> Tracked:
    """One fund's segment with its adapter."""
    adapter = adapter_for(fund)
    if isinstance(adapter, Remembering):
        found = list_markets(session, segment_id, above=-1, up_to=2**62)
        adapter.remember({market: detail for _, market, detail in found})
    start = find_starts(session, [segment_id]).get(segment_id)
    return Tracked(
        segment_id=segment_id,
        slug=fund.slug,
        shape=fund.shape,
        adapter=adapter,
        contracts=tuple(sorted(set(fund.contracts.values()))),
        start_block=fund.start_block if fund.start_block is not None else start,
    )
