"""The page behind the link of an invitation: what it is, and a form to answer. Pure; works without scripts."""

import html
from typing import Final

from pm_api.domains.calendar.enums import Response
from pm_api.domains.calendar.invitations import SERIES, View

_STYLE: Final = (
    ":root{color-scheme:light dark;--ink:#1b2030;--quiet:#5d667a;--ground:#f4f5f7;--card:#fff;--line:#d9dde5;"
    "--brand:#4b45d1;--on:#fff;--good:#176b3a;--bad:#a12622}"
    "@media(prefers-color-scheme:dark){:root{--ink:#eceef4;--quiet:#a3abbd;--ground:#14161c;--card:#1d212b;"
    "--line:#3a4153;--brand:#8f8bff;--on:#14161c;--good:#6fd39b;--bad:#ff9d96}}"
    "*{box-sizing:border-box}"
    "body{margin:0;background:var(--ground);color:var(--ink);font:17px/1.55 system-ui,sans-serif}"
    "main{max-width:34rem;margin:0 auto;padding:6vh 1rem 3rem}"
    "section{background:var(--card);border:1px solid var(--line);border-radius:.75rem;padding:1.5rem 1.4rem;"
    "overflow-wrap:anywhere}"
    "h1{font-size:1.4rem;line-height:1.3;margin:0 0 .9rem}p{margin:.4rem 0}"
    "dl{margin:0 0 1.1rem;display:grid;grid-template-columns:auto 1fr;gap:.35rem 1rem}"
    "dt{color:var(--quiet)}dd{margin:0}"
    ".words{white-space:pre-line;margin:0 0 1.1rem;color:var(--quiet)}"
    ".notice{border-left:4px solid var(--brand);padding:.2rem .8rem;margin:0 0 1.1rem}"
    ".notice.bad{border-color:var(--bad)}"
    "label{display:block;margin:.9rem 0 .25rem;color:var(--quiet)}"
    "select,textarea,input{font:inherit;width:100%;padding:.6rem .7rem;border:1px solid var(--line);"
    "border-radius:.5rem;background:var(--card);color:inherit}"
    "summary{cursor:pointer;margin-top:.9rem;color:var(--quiet)}"
    ".answers{display:grid;grid-template-columns:repeat(3,1fr);gap:.6rem}.ask{margin:1.2rem 0 .5rem}"
    "button{font:inherit;font-weight:600;padding:.75rem 1rem;border:1px solid var(--line);border-radius:.5rem;"
    "background:transparent;color:inherit;cursor:pointer}"
    "button.yes{background:var(--brand);border-color:var(--brand);color:var(--on)}"
    ":focus-visible{outline:3px solid #8f8bff;outline-offset:2px}"
    "footer{color:var(--quiet);font-size:.85rem;padding:1rem .3rem}"
)
_SAID: Final = {
    Response.PENDING: "You have not answered yet.",
    Response.ACCEPTED: "You said that you will come.",
    Response.DECLINED: "You said that you will not come.",
    Response.TENTATIVE: "You said that you may come.",
}
_SHORT: Final = {
    Response.PENDING: "",
    Response.ACCEPTED: " (yes)",
    Response.DECLINED: " (no)",
    Response.TENTATIVE: " (maybe)",
}


def invitation(view: View, *, thanks: Response | None = None, trouble: str | None = None) -> str:
    """What one is invited to; the form posts to the address it was read from."""
    parts = [f'<h1 dir="auto">{_text(view.title)}</h1>']
    if trouble is not None:
        parts.append(f'<p class="notice bad" role="alert">{_text(trouble)}</p>')
    elif thanks is not None:
        told = f"{view.organizer} has been told." if view.organizer else "The organizer has been told."
        parts.append(f'<p class="notice" role="status">Thank you. {_text(told)}</p>')
    facts = [("When", view.when), ("Recurs", view.recurs or ""), ("Where", view.where)]
    facts.append(("Organizer", ", ".join(one for one in (view.organizer, view.workspace) if one)))
    rows = "".join(f'<dt>{name}</dt><dd dir="auto">{_text(value)}</dd>' for name, value in facts if value)
    parts.append(f"<dl>{rows}</dl>")
    if view.description:
        parts.append(f'<div class="words" dir="auto">{_text(view.description)}</div>')
    parts.append("<p>It is over, or goes on without you.</p>" if view.is_closed else _form(view))
    return _page(view.title, "".join(parts), f"This invitation was sent to {view.email}.")


def gone() -> str:
    return _page(
        "This invitation has ended",
        "<h1>This invitation has ended</h1><p>The event was cancelled, or the invitation was taken back. If you think"
        " it is a mistake, ask whoever invited you.</p>",
        "",
    )


def refused(text: str) -> str:
    return _page("That did not work", f"<h1>That did not work</h1><p>{_text(text)}</p>", "")


def _form(view: View) -> str:
    parts = [
        f"<p>{'The whole series: ' if view.choices else ''}{_SAID[view.response]}</p>",
        f"<p>You proposed: {_text(view.proposal)}</p>" if view.proposal else "",
        f'<form method="post"><input type="hidden" name="seen" value="{_text(view.seen)}">',
    ]
    if view.choices:
        options = "".join(
            f'<option value="{_text(one.name)}">{_text(one.when)}{_SHORT[one.response]}</option>'
            for one in view.choices
        )
        parts.append(
            '<label for="about">Your answer is for</label>'
            f'<select id="about" name="about"><option value="{SERIES}">The whole series</option>{options}</select>'
        )
    parts.append(
        '<label for="comment">A word to the organizer</label>'
        f'<textarea id="comment" name="comment" rows="2" maxlength="2000" dir="auto">{_text(view.comment)}</textarea>'
        "<details><summary>Propose another time</summary>"
        f'<label for="from">From ({_text(view.time_zone)})</label>'
        '<input id="from" type="datetime-local" name="proposedStart">'
        '<label for="to">Until</label><input id="to" type="datetime-local" name="proposedEnd">'
        '<p class="ask"><button>Send the proposal alone</button></p></details>'
        '<p class="ask">Will you come?</p><div class="answers">'
        '<button class="yes" name="response" value="ACCEPTED">Yes</button>'
        '<button name="response" value="TENTATIVE">Maybe</button>'
        '<button name="response" value="DECLINED">No</button></div></form>'
    )
    return "".join(parts)


def _text(text: str) -> str:
    return html.escape(text)


def _page(title: str, inside: str, foot: str) -> str:
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="robots" content="noindex">'
        f"<title>{_text(title)}</title><style>{_STYLE}</style>"
        f"<main><section>{inside}</section><footer>{_text(foot)}</footer></main></html>"
    )
