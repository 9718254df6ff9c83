"""What can be done on one's own page: one address, one form an action, each in one transaction."""

from collections.abc import Callable, Mapping

from fastapi import APIRouter, Request, Response
from sqlmodel import Session
from starlette.exceptions import HTTPException

from ledger.kinds import EndpointStatus, Purpose
from ledger.outbox import order, replay
from ledger.pages import asking
from ledger.subscriptions import (
    WebhookRefusedError,
    add_webhook,
    delete_endpoint,
    disable,
    enable,
    end_mute,
    export_endpoint,
    find_bearer,
    find_failed,
    find_webhook,
    key_of,
    ping_again,
    rotate_secret,
    set_wishes,
)
from ledger.tables import Endpoint
from web.api import to_bytes
from web.desk import PRIVATE, Desk
from web.edition import SubscribeConfig
from web.names import neat_places
from web.ownpage import OWN, Outcome, own_page
from web.pages import route
from web.posting import ACTING, SENDING, UNREADABLE, Filled, InAddress, Own
from web.press import JSON
from web.wishes import Chosen, fund_names, read_wishes

Action = Callable[[Desk, Session, Endpoint, Filled], Outcome]
GONE = Outcome("That is not there any more")


def save(desk: Desk, session: Session, owner: Endpoint, filled: Filled) -> Outcome:
    """Sets the wishes."""
    chosen = Chosen.of_form(filled)
    wishes, mistakes = read_wishes(chosen, fund_names(neat_places(session)))
    if mistakes:
        return Outcome(mistakes=mistakes, chosen=chosen)
    set_wishes(session, owner, wishes)
    return Outcome("Saved")


def stop(desk: Desk, session: Session, owner: Endpoint, _filled: Filled) -> Outcome:
    """Ends messages to the address; webhooks go on."""
    disable(session, owner, now=desk.now)
    return Outcome("No more mails are sent")


def resume(desk: Desk, _session: Session, owner: Endpoint, _filled: Filled) -> Outcome:
    """Sends messages again."""
    enable(owner, now=desk.now)
    return Outcome("Mails are sent again")


def unmute(_desk: Desk, session: Session, owner: Endpoint, filled: Filled) -> Outcome:
    """Ends a mute."""
    end_mute(session, owner, filled.one("fund"))
    return Outcome("The mute has ended")


def send_test(desk: Desk, session: Session, owner: Endpoint, filled: Filled) -> Outcome:
    """Orders a test message to the address, or to a webhook where one is named."""
    named = filled.one("webhook")
    endpoint = find_webhook(session, owner, named) if named else owner
    if endpoint is None or endpoint.status != EndpointStatus.ACTIVE:
        return GONE
    order(session, key_of(endpoint), Purpose.TEST, now=desk.now)
    return Outcome("A test message is on its way")


def send_again(desk: Desk, session: Session, owner: Endpoint, filled: Filled) -> Outcome:
    """Orders a message that was given up once more."""
    failed = find_failed(session, owner, filled.one("message"))
    if failed is None or failed.id is None or not replay(session, failed.id, now=desk.now):
        return GONE
    return Outcome("The message is sent once more")


def add(desk: Desk, session: Session, owner: Endpoint, filled: Filled) -> Outcome:
    """Adds a webhook whose address was found to be right."""
    url, secret = filled.one("url").strip(), sending(desk).new_secret()
    try:
        add_webhook(session, owner, url, secret, now=desk.now)
    except WebhookRefusedError as error:
        return Outcome(mistakes=(("url", str(error)),), url=url)
    return Outcome("The webhook is added and gets a ping; once it has answered, it is active", secret)


def rotate(desk: Desk, session: Session, owner: Endpoint, filled: Filled) -> Outcome:
    """Gives a webhook a new secret."""
    webhook = find_webhook(session, owner, filled.one("webhook"))
    if webhook is None:
        return GONE
    secret = sending(desk).new_secret()
    rotate_secret(webhook, secret, now=desk.now)
    return Outcome("The new secret signs from now on, the old one as well for 24 hours", secret)


def ping(desk: Desk, session: Session, owner: Endpoint, filled: Filled) -> Outcome:
    """Asks a webhook once more whether it is there."""
    webhook = find_webhook(session, owner, filled.one("webhook"))
    if webhook is None or webhook.status == EndpointStatus.ACTIVE:
        return GONE
    ping_again(session, webhook, now=desk.now)
    return Outcome("A ping is on its way")


def remove(_desk: Desk, session: Session, owner: Endpoint, filled: Filled) -> Outcome:
    """Deletes a webhook."""
    webhook = find_webhook(session, owner, filled.one("webhook"))
    if webhook is None:
        return GONE
    delete_endpoint(session, webhook)
    return Outcome("The webhook is removed")


ACTIONS: Mapping[str, Action] = {
    "save": save,
    "stop": stop,
    "resume": resume,
    "unmute": unmute,
    "test": send_test,
    "replay": send_again,
    "add": add,
    "rotate": rotate,
    "ping": ping,
    "remove": remove,
}
"""What changes something and leads back to the page."""
SENDERS = frozenset({"test", "replay", "add", "ping"})
"""Those that make us send something."""


def find_fault(desk: Desk, url: str) -> str:
    """What is wrong with a webhook's address, in a sentence; empty: nothing."""
    unreadable = "the address holds a sign that cannot be read: type it again" if UNREADABLE in url else None
    fault = unreadable or sending(desk).check_url(url) or ""
    return fault[:1].upper() + fault[1:]


def sending(desk: Desk) -> SubscribeConfig:
    """What the front door handed in; answers 404 where messages are not sent from here."""
    if desk.config.subscribe is None:
        raise HTTPException(404)
    return desk.config.subscribe


def add_own_page(router: APIRouter, desk: Desk) -> None:
    """The page and its forms."""

    @route(router, OWN)
    def own(token: InAddress = "") -> Response:
        """Shows what there is."""
        return answer_own(desk, token, Outcome())

    @router.post(OWN)
    def act(request: Request, filled: Own) -> Response:
        """Does one thing."""
        do, token = filled.one("do"), filled.one("token")
        desk.turnstile.admit(request, SENDING if do in SENDERS else ACTING)
        if do == "export":
            return export(desk, token)
        if do == "delete":
            return forget(desk, token)
        if do not in ACTIONS:
            raise HTTPException(400)
        if do == "add":
            url = filled.one("url").strip()
            wrong = find_fault(desk, url)  # It may ask the network: nobody waits for a transaction meanwhile.
            if wrong:
                return answer_own(desk, token, Outcome(mistakes=(("url", wrong),), url=url))
        said = desk.act(token, lambda session, owner: ACTIONS[do](desk, session, owner, filled))
        return desk.gone(OWN) if said is None else answer_own(desk, token, said)


def answer_own(desk: Desk, token: str, said: Outcome) -> Response:
    """The bearer's page as it stands now."""
    with asking(desk.engine) as session:
        owner = find_bearer(session, token, now=desk.now)
        if owner is not None:
            page = own_page(desk, session, owner, token=token, said=said)
            return desk.answer("alerts_manage.html", page, 422 if said.mistakes else 200)
    return desk.gone(OWN)


def export(desk: Desk, token: str) -> Response:
    """Everything that is kept of the bearer, as a file."""
    with asking(desk.engine) as session:
        owner = find_bearer(session, token, now=desk.now)
        if owner is not None:
            told = {"exported_at": f"{desk.now:%Y-%m-%dT%H:%M:%SZ}"} | export_endpoint(session, owner)
            headers = PRIVATE | {"Content-Disposition": 'attachment; filename="backstop-alerts.json"'}
            return Response(to_bytes(told), media_type=JSON, headers=headers)
    return desk.gone(OWN)


def forget(desk: Desk, token: str) -> Response:
    """Deletes everything about the bearer."""

    def work(session: Session, owner: Endpoint) -> str:
        delete_endpoint(session, owner)
        return owner.address

    address = desk.act(token, work)
    if address is None:
        return desk.gone(OWN)
    return desk.step(OWN, "Deleted", f"Nothing about {address} is left here, and nothing is sent there any more.")
