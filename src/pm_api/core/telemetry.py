"""Request ids, structured logs, metrics and traces: what an operator sees."""

import io
import logging
import re
import sys
from contextvars import ContextVar
from typing import Any, Final, TextIO

import structlog
from fastapi import FastAPI
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
from opentelemetry.instrumentation.sqlalchemy import SQLAlchemyInstrumentor
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Span, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from prometheus_client import Counter, Gauge, Histogram
from sqlalchemy.ext.asyncio import AsyncEngine
from starlette.types import Scope

# What PostgreSQL says about the row that it refused holds the row. A value may hold line breaks, so the text is cut
# up to what is known to follow it, in a traceback or (with `\\n`) in a repr.
_ROW: Final = re.compile(
    r"DETAIL:.*?(?=(?:\n|\\n)(?:HINT:|\[SQL:|\nThe above exception was|\nDuring handling of the above)|\Z)", re.DOTALL
)
_KEY: Final = re.compile(r"Key \(.*?\)=\(.*?\)(?= (?:already|is |conflicts)|\Z)|Failing row contains \(.*", re.DOTALL)

# 32 characters and more that are no id of ours: the token of a link that was mailed.
_TOKEN: Final = re.compile(
    r"(?<=/)(?![0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}(?:/|$))[\w-]{32,}", re.ASCII | re.IGNORECASE
)
_OF_ADDRESSES: Final = ("http.url", "http.target", "url.full", "url.path")

_request_id: ContextVar[str] = ContextVar("request_id", default="")

HTTP_REQUESTS = Counter("pm_http_requests_total", "Requests answered.", ["method", "route", "status"])
HTTP_SECONDS = Histogram(
    "pm_http_request_seconds",
    "Time from the first byte in to the answer's start.",
    ["method", "route"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
JOBS = Counter("pm_jobs_total", "Jobs run.", ["job", "outcome"])
LEDGER_BATCH = Histogram(
    "pm_ledger_batch_commands",
    "Commands in one ledger transaction.",
    buckets=(1, 2, 5, 10, 25, 50, 100, 250, 500),
)
LEDGER_QUEUE = Gauge("pm_ledger_queue_commands", "Commands waiting for the ledger's writer.")
WEBHOOKS = Counter("pm_webhook_events_total", "Webhook events by outcome.", ["source", "outcome"])
FLOWS = Counter("pm_flows_total", "Flows by how a try of theirs ended.", ["kind", "outcome"])
MAILS = Counter("pm_mails_total", "Tries to send a mail, by outcome.", ["outcome"])
WEBHOOKS_OUT = Counter("pm_webhooks_out_total", "Tries to send a webhook, by outcome.", ["outcome"])
STREAMS = Gauge("pm_streams_open", "Open event streams.")
STORAGE_DRIFT = Gauge("pm_storage_drifting_accounts", "Accounts whose counters a recount found wrong.")
STORAGE_ORPHANS = Gauge("pm_storage_orphans", "Objects in the store without a row, at the last reconciliation.")
STORAGE_MISSING = Gauge("pm_storage_missing", "Rows without their bytes in the store, at the last reconciliation.")


def request_id() -> str:
    """The id of the request (or job) being served, or an empty text outside one."""
    return _request_id.get()


def set_request_id(value: str) -> None:
    _request_id.set(value)


def _add_request_id(_logger: object, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    identifier = _request_id.get()
    if identifier:
        event.setdefault("request_id", identifier)
    return event


def without_row_values(text: str) -> str:
    """A log text without what PostgreSQL quotes of a refused row: addresses, hashes."""
    return _KEY.sub("[row left out]", _ROW.sub("DETAIL: [left out]", text))


def _leave_out_rows(_logger: object, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    for name, value in event.items():
        if isinstance(value, str):
            event[name] = without_row_values(value)
        elif isinstance(value, BaseException):
            event[name] = without_row_values(repr(value))
    return event


def _plain_traceback(out: TextIO, exc_info: Any) -> None:
    shown = io.StringIO()
    structlog.dev.plain_traceback(shown, exc_info)
    out.write(without_row_values(shown.getvalue()))


_KNOWN: Final[list[structlog.typing.Processor]] = [
    structlog.contextvars.merge_contextvars,
    _add_request_id,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
]
# One list for as long as the process lives: a logger keeps the list it was first used with.
_PROCESSORS: Final = [*_KNOWN, structlog.stdlib.ProcessorFormatter.wrap_for_formatter]


def configure_logging(*, level: str, as_json: bool) -> None:
    """One line an event on stderr; JSON in production, readable otherwise. Library logs take the same road."""
    renderer: list[structlog.typing.Processor] = (
        [structlog.processors.format_exc_info, _leave_out_rows, structlog.processors.JSONRenderer()]
        if as_json
        # Plain tracebacks: the pretty ones print local variables, and those hold passwords and tokens.
        else [
            _leave_out_rows,
            structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=_plain_traceback),
        ]
    )
    structlog.configure(
        processors=_PROCESSORS,
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=_KNOWN,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderer],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access", "pgqueuer"):
        library = logging.getLogger(name)
        library.handlers[:] = []
        library.propagate = True
    for name in ("uvicorn.access", "httpx", "pgqueuer", "stripe", "alembic.runtime.plugins"):
        logging.getLogger(name).setLevel(logging.WARNING)


def shown_path(path: str) -> str:
    """A path as logs and traces may show it: without what opens a door."""
    return _TOKEN.sub("…", path)


def _without_secrets(span: trace.Span, _scope: Scope) -> None:
    """Queries hold codes, tickets and tokens: a trace has an address without its query."""
    if not isinstance(span, Span):
        return
    for name in _OF_ADDRESSES:
        address = (span.attributes or {}).get(name)
        if isinstance(address, str):
            span.set_attribute(name, shown_path(address.partition("?")[0]))
    if "url.query" in (span.attributes or {}):
        span.set_attribute("url.query", "")
    span.update_name(shown_path(span.name))


def configure_tracing(environ: dict[str, str], app: FastAPI, engine: AsyncEngine) -> None:
    """Traces leave when the standard `OTEL_EXPORTER_OTLP_*` variables name a collector."""
    endpoint = environ.get("OTEL_EXPORTER_OTLP_ENDPOINT") or environ.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
    if not endpoint or environ.get("OTEL_SDK_DISABLED") == "true":
        return
    provider = TracerProvider(resource=Resource.create({"service.name": environ.get("OTEL_SERVICE_NAME", "pm_api")}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)
    FastAPIInstrumentor.instrument_app(
        app,
        tracer_provider=provider,
        excluded_urls="healthz,readyz,metrics",
        server_request_hook=_without_secrets,
    )
    SQLAlchemyInstrumentor().instrument(engine=engine.sync_engine, tracer_provider=provider)
