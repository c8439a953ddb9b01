"""The mailbox's pages, and `/_sandbox` for tests and the command line."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any, Final

from fastapi import APIRouter, FastAPI, Query, Request
from fastapi.responses import HTMLResponse, JSONResponse, PlainTextResponse, RedirectResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from pm_api.sandbox.mail.store import PAGE_LENGTH, Fault, FaultKind, Faults, Mailbox, Received

LARGEST_ID: Final = 2**63 - 1
# What stands in a mail may neither run, nor reach anything, nor leave its frame.
FRAMED: Final = {
    "Content-Security-Policy": "sandbox allow-popups allow-popups-to-escape-sandbox; default-src 'none';"
    " style-src 'unsafe-inline'; img-src data:; frame-ancestors 'self'",
    "X-Content-Type-Options": "nosniff",
}

router = APIRouter()
templates = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"), autoescape=True, undefined=StrictUndefined
)


class FaultSwitch(BaseModel):
    model_config = ConfigDict(extra="forbid")

    kind: FaultKind
    times: int = Field(default=1, ge=1, le=100_000)
    recipient: str | None = None


def page(template: str, *, status: int = 200, **values: Any) -> HTMLResponse:
    return HTMLResponse(templates.get_template(template).render(**values), status_code=status)


def mailbox_of(request: Request) -> Mailbox:
    mailbox: Mailbox = request.app.state.mailbox
    return mailbox


def faults_of(request: Request) -> Faults:
    faults: Faults = request.app.state.faults
    return faults


def _mail(request: Request, mail_id: int) -> Received | None:
    return mailbox_of(request).find(mail_id) if 0 < mail_id <= LARGEST_ID else None


def _missing() -> Response:
    return page("missing.html", status=404)


@router.get("/")
async def mail_list(
    request: Request, to: str = "", before: Annotated[int | None, Query(ge=0, le=LARGEST_ID)] = None
) -> Response:
    mails = mailbox_of(request).page(to=to, before=before, limit=PAGE_LENGTH + 1)
    shown = mails[:PAGE_LENGTH]
    older = shown[-1].id if len(mails) > PAGE_LENGTH else None
    return page("list.html", mails=shown, older=older, to=to, fault=faults_of(request).current)


@router.get("/mails/{mail_id}")
async def one_mail(request: Request, mail_id: int) -> Response:
    mail = _mail(request, mail_id)
    if mail is None:
        return _missing()
    headers = [(name, str(value)) for name, value in mail.message().raw_items()]
    return page("mail.html", mail=mail, headers=headers, text=mail.part("plain"), has_html=bool(mail.part("html")))


@router.get("/mails/{mail_id}/html")
async def html_part(request: Request, mail_id: int) -> Response:
    mail = _mail(request, mail_id)
    if mail is None:
        return _missing()
    # A link opens beside the mailbox, not inside the frame.
    return HTMLResponse(mail.part("html").replace("<head>", '<head><base target="_blank">', 1), headers=FRAMED)


@router.get("/mails/{mail_id}/source")
async def source(request: Request, mail_id: int) -> Response:
    mail = _mail(request, mail_id)
    if mail is None:
        return _missing()
    return PlainTextResponse(mail.source.decode("utf-8", "replace"), headers={"X-Content-Type-Options": "nosniff"})


@router.post("/clear")
async def clear(request: Request) -> Response:
    mailbox_of(request).clear()
    return RedirectResponse("/", status_code=303)


@router.get("/_sandbox/mails")
async def mails_as_json(request: Request, to: str = "") -> Response:
    """The newest mails to an address, each with both parts and its headers."""
    return JSONResponse({"mails": [_as_json(one) for one in mailbox_of(request).page(to=to)]})


def _as_json(mail: Received) -> dict[str, Any]:
    return {
        "id": mail.id,
        "receivedAt": mail.received_at.isoformat(),
        "sender": mail.sender,
        "recipient": mail.recipient,
        "subject": mail.subject,
        "headers": {name: str(value) for name, value in mail.message().items()},
        "text": mail.part("plain"),
        "html": mail.part("html"),
    }


@router.delete("/_sandbox/mails")
async def forget_mails(request: Request) -> Response:
    mailbox_of(request).clear()
    return JSONResponse({"cleared": True})


@router.put("/_sandbox/faults")
async def set_fault(request: Request, body: FaultSwitch) -> Response:
    """The one switch from now on: what goes wrong with the next mails."""
    faults_of(request).set(Fault(body.kind, body.times, body.recipient))
    return JSONResponse({"fault": body.model_dump()})


@router.delete("/_sandbox/faults")
async def heal(request: Request) -> Response:
    faults_of(request).set(None)
    return JSONResponse({"fault": None})


def create_app(mailbox: Mailbox, faults: Faults) -> FastAPI:
    """The pages over a mailbox, which closes with the application."""

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        yield
        mailbox.close()

    app = FastAPI(title="Sandbox mailbox", lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None)
    app.state.mailbox = mailbox
    app.state.faults = faults
    app.include_router(router)
    return app
