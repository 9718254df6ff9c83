"""A fund's balance chart as a picture, for mails."""

from sqlalchemy import Engine

from ledger.clock import Clock
from ledger.pages import asking, list_events
from web.charts import picture_balance
from web.edition import Edition, SiteConfig
from web.evidence import LOSS_ROLES
from web.figures import Figures
from web.segments import balance_line
from web.severity import worst_first


def draw_fund(engine: Engine, clock: Clock, slug: str) -> bytes | None:
    """PNG of the balance of the fund's worst segment that has one; None without a fund or with too few readings."""
    with asking(engine) as session:
        edition = Edition(session, clock, SiteConfig())
        for place in worst_first(edition, edition.funds().get(slug, [])):
            losses = list_events(session, [place.segment_id], LOSS_ROLES)
            line = balance_line(edition, place, Figures(edition, place), losses)
            if line is not None:
                return picture_balance(line)
    return None
