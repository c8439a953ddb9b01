"""The one list of routers, and the short lists of routes that are exceptions."""

from typing import Final

from fastapi import APIRouter

from pm_api.domains.account import router as account
from pm_api.domains.ai_credits import router as ai_credits
from pm_api.domains.billing import router as billing
from pm_api.domains.bug_reports import router as bug_reports
from pm_api.domains.calendar import router as calendar
from pm_api.domains.calendar.importing import MOST_BYTES as MOST_CALENDAR_BYTES
from pm_api.domains.changes import router as changes
from pm_api.domains.messages import router as messages
from pm_api.domains.notifications import router as notifications
from pm_api.domains.projects import router as projects
from pm_api.domains.search import router as search
from pm_api.domains.storage import router as storage
from pm_api.domains.tasks import router as tasks
from pm_api.domains.tasks.table import MOST_BYTES
from pm_api.domains.team import router as team
from pm_api.domains.webhooks_out import router as webhooks_out
from pm_api.identity.routers import access, api_keys, audit, auth, second_factor, workspaces
from pm_api.operations import router as operations
from pm_api.webhooks import router as webhooks

ROUTERS: Final[tuple[APIRouter, ...]] = (
    operations.probes,
    operations.pages,
    operations.router,
    auth.router,
    auth.well_known,
    second_factor.router,
    api_keys.router,
    *account.ROUTERS,
    access.router,
    workspaces.router,
    audit.router,
    *team.ROUTERS,
    *tasks.ROUTERS,
    *calendar.ROUTERS,
    *ai_credits.ROUTERS,
    *billing.ROUTERS,
    *projects.ROUTERS,
    webhooks.router,
    changes.router,
    notifications.router,
    *messages.ROUTERS,
    *storage.ROUTERS,
    webhooks_out.router,
    search.router,
    bug_reports.router,
)

DEVELOPMENT_ROUTERS: Final[tuple[APIRouter, ...]] = (operations.development,)
"""Mounted outside production only."""

AS_THE_PLAN_SAYS: Final = 1 << 62
"""The service reserves room before it reads, and refuses what is larger than the plan allows."""
_PARTS: Final = {
    "identity": "Signing in and out, second factor, API keys, workspaces, who may do what.",
    "account": "Registration, profile, settings, a copy of one's data, leaving.",
    "team": "Members of a workspace, and invitations into it.",
    "projects": "Projects, who is in them, their workflow, labels and fields.",
    "tasks": "Tasks: board, tree, comments, time, filters, bulk edits, recurrence.",
    "calendar": "Events and series, guests, rooms, free time, feeds.",
    "messages": "Conversations and what is said in them.",
    "storage": "Files: uploads in three ways, versions, links, pictures, quotas.",
    "search": "One search over what the caller sees.",
    "notifications": "What people are told, in the app and by mail, and how they want it.",
    "bug reports": "What users found wrong.",
    "ai credits": "The credit ledger: spending, holds, pools, gifts, refunds, statements.",
    "billing": "Plans, subscriptions, invoices, payment methods, top-ups.",
    "changes": "Everything that changed, by polling or as a stream of events.",
    "webhooks": "A workspace's changes sent to addresses of its own, and what Stripe tells.",
    "operations": "Health, problem pages, and what the operator does.",
    "development": "The business clock. Not in production.",
}
TAGS: Final = [{"name": name, "description": told} for name, told in _PARTS.items()]
"""The parts of the document, in the order in which a reader meets them."""

AS_THE_SERVICE_SAYS: Final = 1 << 62
"""The service reads no more than it takes, and its refusal names the figure."""

FILE_BYTES: Final = {
    "/api/tasks/import": MOST_BYTES,
    "/api/calendar/events/import": MOST_CALENDAR_BYTES,
    "/api/storage/uploads": AS_THE_PLAN_SAYS,
    "/api/storage/tus": AS_THE_PLAN_SAYS,
    "/api/storage/tus/*": AS_THE_PLAN_SAYS,
    "/api/user/avatar": AS_THE_SERVICE_SAYS,
    "/api/workspaces/*/logo": AS_THE_SERVICE_SAYS,
}
"""Addresses that take a file in their body, each with the most of it: more than other bodies may have. `*` stands for
one part of the path."""

PUBLIC: Final = frozenset(
    {
        "getHealth",
        "getReadiness",
        "getMetrics",
        "getDocs",
        "getProblem",
        "getConfig",
        "listCreditPacks",
        "listPlans",
        "createLead",
        "receiveStripeEvent",
        "receiveBillingEvent",
        "getJwks",
        "register",
        "login",
        "refresh",
        "verifyEmail",
        "forgotPassword",
        "resetPassword",
        "listSignInProviders",
        "startOauth",
        "prepareOauth",
        "finishOauth",
        "finishOauthWithCode",
        "getUnsubscribePage",
        "viewInvitation",
        "declineInvitation",
        "unsubscribe",
        "viewEventInvitation",
        "getCalendarFeedFile",
        "getLinkedFile",
        "headLinkedFile",
        "answerEventInvitation",
        "getPicture",
        "headPicture",
        "getTusOptions",
        "getTusUploadOptions",
    }
)
"""Operations without a guard: everybody may call them."""

KEY_EXEMPT: Final[dict[str, str]] = {
    "register": "public: no caller to scope a key to; the address is unique",
    "login": "public: no caller to scope a key to",
    "refresh": "public: rotation has its own grace",
    "verifyEmail": "public: a link works once",
    "forgotPassword": "public: a repeat mails one more link, at most five within an hour",
    "resetPassword": "public: a link works once",
    "changePassword": "nothing is held while passwords are hashed; a repeat finds the new one, and changes nothing",
    "changeEmail": "nothing is held while the password is hashed; a repeat mails one more link",
    "prepareOauth": "public: what is begun twice is taken up once",
    "linkProvider": "the provider is asked with no transaction open; what is begun twice is taken up once",
    "finishOauthWithCode": "public: a code works once",
    "unsubscribe": "public: a second call changes nothing",
    "declineInvitation": "public: a second call changes nothing",
    "answerEventInvitation": "public: a second answer takes the place of the first",
    "exportTeam": "a file as it is written: it changes nothing but the audit log",
    "moveClock": "development only",
    "receiveStripeEvent": "signed by Stripe; the inbox is its record",
    "receiveBillingEvent": "signed by Stripe; the inbox is its record",
    "createLead": "public: no caller to scope a key to",
    "sendGift": "the ledger's own command record",
    "createGiftCodes": "the ledger's own command record",
    "spendCredits": "the ledger's own command record",
    "grantCredits": "the ledger's own command record",
    "refundCredits": "the ledger's own command record",
    "adjustCredits": "the ledger's own command record",
    "voidGrant": "the ledger's own command record",
    "placeHold": "the ledger's own command record",
    "captureHold": "the ledger's own command record",
    "releaseHold": "the ledger's own command record",
    "extendHold": "the ledger's own command record",
    "spendCreditsBatch": "every item has a key of its own in the ledger's command record",
    "estimateCredits": "writes nothing",
    "useCredits": "the ledger's own command record decides who works; a detached call keeps the answer",
    "createCheckoutSession": "the flow's own record",
    "purchaseCredits": "the flow's own record",
    "createPortalLink": "the flow's own record",
    "streamCredits": "the ledger's own command record, under keys made from it",
    "createSetupIntent": "the flow's own record",
    "attachPaymentMethod": "the flow's own record",
    "createSubscription": "the flow's own record",
    "cancelSubscription": "the flow's own record",
    "resumeSubscription": "the flow's own record",
    "previewSubscriptionChange": "writes nothing",
    "createPaymentRefund": "the flow's own record",
    "previewRecurrence": "writes nothing",
    "zipFiles": "writes nothing",
    "createTusUpload": "each is a record of its own, with an address; one begun twice expires, room and all",
    "createPresignedUpload": "each is a record of its own, completed once; one begun twice expires, room and all",
    "completeUpload": "the upload's own state: done twice, it is done once",
    "createUpload": "the file's own record: key and answer are written with it, once its bytes can be compared",
    "uploadAvatar": "a file: the same picture sent twice is worn once",
    "uploadWorkspaceLogo": "a file: the same picture sent twice is worn once",
    "syncPrices": "takes over what Stripe says: the second time there is nothing left to take over",
}
"""POST operations whose Idempotency-Key is not kept by the route class, and why."""
