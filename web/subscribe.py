"""Where people subscribe, confirm, mute and unsubscribe. A GET never acts: scanners open every link of a mail."""

from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import RedirectResponse
from sqlmodel import Session
from starlette.exceptions import HTTPException

from ledger.database import writing
from ledger.kinds import TokenPurpose
from ledger.numbers import format_time
from ledger.pages import asking
from ledger.subscriptions import ask_confirmation, ask_link, confirm, disable, find_bearer, mute, wishes_asked
from ledger.tables import Endpoint
from web.contexts import AlertsPage, Button
from web.desk import Desk
from web.manage import add_own_page
from web.names import neat_places
from web.ownpage import own_button, own_link
from web.pages import FRESH, answer, route
from web.posting import ACTING, SENDING, Filled, InAddress, Own, read_filled
from web.press import HTML
from web.templating import render
from web.wishes import (
    TRAP,
    Chosen,
    Mistakes,
    fill_page,
    fund_names,
    printable,
    read_address,
    read_wishes,
    wish_facts,
)

MUTED_FOR = timedelta(hours=24)


def create_subscription_router(desk: Desk) -> APIRouter:
    """All pages of subscriptions."""
    router = APIRouter(include_in_schema=False)
    add_offer(router, desk)
    add_confirmation(router, desk)
    add_mute(router, desk)
    add_end(router, desk)
    add_own_page(router, desk)
    return router


def add_offer(router: APIRouter, desk: Desk) -> None:
    """What can be had, and the two forms that take an address."""

    @route(router, "/alerts")
    def alerts(request: Request, fund: InAddress = "") -> Response:
        """What can be had; a fund may be named."""
        if not fund:
            return answer(desk.press, request)
        with asking(desk.engine) as session:
            page = offer(desk, session, Chosen(funds=(fund,)))
        return Response(render("alerts.html", page=page), media_type=HTML, headers={"Cache-Control": FRESH})

    @route(router, "/alerts/subscribe", "/alerts/link")
    def form_without_content() -> Response:
        """Leads a reader who opens a form's own address to the form."""
        return RedirectResponse("/alerts", 303)

    @router.post("/alerts/subscribe")
    def subscribe(request: Request, filled: Own) -> Response:
        """Asks an address whether it wants this."""
        return refusal(desk, request, filled) or take_wishes(desk, filled)

    @router.post("/alerts/link")
    def link(request: Request, filled: Own) -> Response:
        """Sends a link to the own page to an address that gets messages."""
        return refusal(desk, request, filled) or take_address(desk, filled)


def refusal(desk: Desk, request: Request, filled: Filled) -> Response | None:
    """What answers a form that takes an address, where that does not go further."""
    desk.turnstile.admit(request, SENDING)
    desk.press.check()
    if not desk.is_mail_on:
        with asking(desk.engine) as session:
            return desk.answer("alerts.html", offer(desk, session, Chosen()), 404)
    return desk.sent() if filled.one(TRAP) else None


def take_wishes(desk: Desk, filled: Filled) -> Response:
    """Orders the mail that asks for confirmation; the answer does not say whether the address is known."""
    chosen = Chosen.of_form(filled)
    address, wrong_address = read_address(chosen.address)
    with asking(desk.engine) as session:
        wishes, wrong_wishes = read_wishes(chosen, fund_names(neat_places(session)))
        if wrong_address or wrong_wishes:
            page = offer(desk, session, chosen, mistakes=wrong_address + wrong_wishes)
            return desk.answer("alerts.html", page, 422)
    with writing(desk.engine) as session:
        ask_confirmation(session, address, wishes, now=desk.now)
    return desk.sent()


def take_address(desk: Desk, filled: Filled) -> Response:
    """Orders the mail with a link; the answer does not say whether the address is known."""
    typed = filled.one("address")
    address, mistakes = read_address(typed)
    if mistakes:
        return desk.step("/alerts/link", "A new link", code=422, typed=printable(typed), mistakes=mistakes)
    with writing(desk.engine) as session:
        ask_link(session, address, now=desk.now)
    return desk.sent()


def offer(desk: Desk, session: Session, chosen: Chosen, *, mistakes: Mistakes = ()) -> AlertsPage:
    """The page of what can be had, with what was chosen."""
    around = desk.frame(session, "/alerts", "Alerts")
    return fill_page(around, neat_places(session), desk.config, chosen, mistakes=mistakes)


def add_confirmation(router: APIRouter, desk: Desk) -> None:
    """The link in the first mail."""
    path = "/alerts/confirm"

    @route(router, path)
    def ask(token: InAddress = "") -> Response:
        """Shows what would be set."""
        with asking(desk.engine) as session:
            endpoint = find_bearer(session, token, now=desk.now, purpose=TokenPurpose.CONFIRM)
            wishes = wishes_asked(session, token, now=desk.now)
            names = fund_names(neat_places(session))
        if endpoint is None or wishes is None:
            return desk.gone(path)
        return desk.step(
            path,
            "Do you want these alerts?",
            "You did not ask for them? Then close this page: nothing is sent, and nothing changes.",
            facts=(("E-mail", endpoint.address), *wish_facts(wishes, names)),
            buttons=(Button("Yes, send me these", path, (("token", token),)),),
        )

    @router.post(path)
    def act(request: Request, filled: Own) -> Response:
        """Sets it."""
        desk.turnstile.admit(request, ACTING)
        token = filled.one("token")
        own = desk.act(token, lambda session, _: confirm(session, token, now=desk.now), purpose=TokenPurpose.CONFIRM)
        if own is None:
            return desk.gone(path)
        return desk.step(
            path,
            "Confirmed",
            "From now on messages come to this address. Each has links to mute, to change and to end them.",
            link=own_link(own),
        )


def add_mute(router: APIRouter, desk: Desk) -> None:
    """The link that stops messages about a fund for a day."""
    path = "/alerts/mute"

    @route(router, path)
    def ask(token: InAddress = "", fund: InAddress = "") -> Response:
        """Shows what would be muted."""
        with asking(desk.engine) as session:
            endpoint = find_bearer(session, token, now=desk.now)
            about = muted_words(session, fund)
        if endpoint is None:
            return desk.gone(path)
        return desk.step(
            path,
            f"No alerts{about} for 24 hours?",
            f"Mails to {endpoint.address} pause and then go on by themselves. Webhooks do not pause.",
            buttons=(Button("Mute for 24 hours", path, (("token", token), ("fund", fund))),),
            link=own_link(token),
        )

    @router.post(path)
    def act(request: Request, filled: Own) -> Response:
        """Mutes it."""
        desk.turnstile.admit(request, ACTING)
        token, fund, until = filled.one("token"), filled.one("fund"), desk.now + MUTED_FOR
        with asking(desk.engine) as session:
            about = muted_words(session, fund)

        def work(session: Session, endpoint: Endpoint) -> str:
            mute(session, endpoint, fund, until=until)
            return endpoint.address

        address = desk.act(token, work)
        if address is None:
            return desk.gone(path)
        told = f"No alert{about} comes to {address} before {format_time(until)}."
        return desk.step(path, "Muted", told, link=own_link(token))


def muted_words(session: Session, fund: str) -> str:
    """Of which fund, as a sentence goes on; nothing for all of them. Answers 404 to a fund that is none."""
    if not fund:
        return ""
    names = fund_names(neat_places(session))
    if fund not in names:
        raise HTTPException(404)
    return f" about {names[fund]}"


def add_end(router: APIRouter, desk: Desk) -> None:
    """The link that ends messages; a mail provider may post to it for its reader (RFC 8058)."""
    path = "/alerts/unsubscribe"

    @route(router, path)
    def ask(token: InAddress = "") -> Response:
        """Shows what would end."""
        with asking(desk.engine) as session:
            endpoint = find_bearer(session, token, now=desk.now)
        if endpoint is None:
            return desk.gone(path)
        return desk.step(
            path,
            "Do you want no more messages?",
            f"Alerts and digests to {endpoint.address} end at once.",
            buttons=(Button("Unsubscribe", path, (("token", token),)),),
            link=own_link(token),
        )

    # Neither an origin nor a limit is asked for: one provider posts for many readers, from its own machines.
    @router.post(path)
    def act(filled: Annotated[Filled, Depends(read_filled)], token: InAddress = "") -> Response:
        """Ends it; the token stands in the form or, of One-Click, in the address."""
        bearer = filled.one("token") or token

        def work(session: Session, endpoint: Endpoint) -> str:
            disable(session, endpoint, now=desk.now)
            return endpoint.address

        address = desk.act(bearer, work)
        if address is None:
            return desk.gone(path)
        return desk.step(
            path,
            "Unsubscribed",
            f"Nothing more is sent to {address}. What you wanted to hear is kept in case you come back.",
            buttons=(
                own_button("Send mails again", "resume", bearer),
                own_button("Delete everything about me", "delete", bearer),
            ),
            link=own_link(bearer),
        )
