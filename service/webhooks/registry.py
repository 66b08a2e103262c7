"""Every provider there is. A new one is a file of its own and a name in this tuple; the contract tests do the rest."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from service.webhooks.brevo import BREVO
from service.webhooks.customerio import CUSTOMERIO
from service.webhooks.mailgun import MAILGUN
from service.webhooks.postmark import POSTMARK
from service.webhooks.provider import Provider
from service.webhooks.resend import RESEND
from service.webhooks.sendgrid import SENDGRID
from service.webhooks.ses import SES

PROVIDERS: Mapping[str, Provider] = MappingProxyType(
    {one.name: one for one in (BREVO, CUSTOMERIO, MAILGUN, POSTMARK, RESEND, SENDGRID, SES)}
)
