"""Doors of single providers: what the contract that all of them share does not say."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from bandit.errors import InvalidSettings
from service.problem import STATUS
from service.settings import Settings
from service.store import Store
from service.webhooks.digest import digest
from service.webhooks.event import Delivery, Kind, RawEvent
from service.webhooks.events_table import append_events, confirmations
from service.webhooks.reading import moment
from service.webhooks.refusal import RefusedWebhook, UncheckableWebhook, UnreadableWebhook
from service.webhooks.registry import PROVIDERS

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
TIME = str(int(NOON.timestamp()))
TOPIC = "arn:aws:sns:eu-west-1:123456789012:manyarm"
OLD, NEW, OTHER = (rsa.generate_private_key(65537, 2048) for _ in range(3))
SUBSCRIBE = "https://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription&Token=t1"


def certificate(key, first=-1, last=30):
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "sns.amazonaws.com")])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(7).not_valid_before(NOON + timedelta(days=first))
    made = builder.not_valid_after(NOON + timedelta(days=last)).sign(key, hashes.SHA256())
    return made.public_bytes(serialization.Encoding.PEM).decode()


def sns(key=OLD, version="2", **changes):
    """A signed message of SNS; fields that are None are left out, of text and message."""
    fields = {"Type": "Notification", "MessageId": "m1", "TopicArn": TOPIC, "Message": "{}", "Subject": None,
              "Timestamp": "2026-11-22T12:00:00.000Z"} | changes  # fmt: skip
    given = {name: value for name, value in fields.items() if value is not None}
    text = "".join(f"{name}\n{given[name]}\n" for name in sorted(given))
    algorithm = hashes.SHA256() if version == "2" else hashes.SHA1()
    signature = key.sign(text.encode(), padding.PKCS1v15(), algorithm)
    return given | {"SignatureVersion": version, "Signature": base64.b64encode(signature).decode()}


def enter(name, given, body, headers=None, *, at=NOON):
    """Knock at a provider's door; returns the delivery that was let in."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    delivery = Delivery(headers or {}, raw, at, timedelta(hours=1))
    PROVIDERS[name].door(Settings(given))(delivery)
    return delivery


def ses(body, pem=None, **more):
    return enter(
        "ses", {"webhook_ses_certificate": pem or certificate(OLD), "webhook_ses_topic_arn": TOPIC}, body, **more
    )


@pytest.mark.parametrize("version", ["1", "2"])
@pytest.mark.parametrize("subject", [None, "About: ü\nand a second line"])
def test_both_signature_versions_of_sns_are_checked_with_and_without_a_subject(version, subject):
    message = sns(version=version, Subject=subject)
    ses(message)
    for field in ("Message", "MessageId", "Timestamp", "Type", "Subject"):
        with pytest.raises(RefusedWebhook):
            ses(message | {field: (message.get(field) or "") + " "})


@pytest.mark.parametrize(
    ("message", "pem", "why"),
    [
        (sns(OTHER), certificate(OLD), "not the one of webhook_ses_certificate"),
        (sns(TopicArn=TOPIC + "x"), certificate(OLD), "of the topic 'arn:aws:sns:eu-west-1:123456789012:manyarmx'"),
        (sns(version="1") | {"SignatureVersion": "2"}, certificate(OLD), "not the one of"),
        (sns() | {"SignatureVersion": "3"}, certificate(OLD), "signature version '3' is none"),
        (sns(Type="Anything"), certificate(OLD), "type 'Anything'"),
        (sns() | {"Signature": "%"}, certificate(OLD), "not the one of"),
    ],
)
def test_sns_is_refused_for_another_key_topic_version_type_or_time(message, pem, why):
    with pytest.raises(RefusedWebhook, match=why):
        ses(message, pem)


@pytest.mark.parametrize("days", [(1, 30), (-9, -1)])
def test_a_message_comes_again_where_no_certificate_is_valid_now(days):
    """SNS gives up at once where it is refused."""
    with pytest.raises(UncheckableWebhook, match="no certificate of webhook_ses_certificate is valid now"):
        ses(sns(), certificate(OLD, *days))
    assert STATUS[UncheckableWebhook] == 503


def test_a_new_certificate_may_stand_beside_the_old_one():
    both = certificate(OLD) + certificate(NEW)
    ses(sns(OLD), both)
    ses(sns(NEW), both)
    with pytest.raises(RefusedWebhook):
        ses(sns(NEW), certificate(OLD))


def test_a_subscription_is_shown_to_be_confirmed_by_hand_and_never_fetched(tmp_path):
    message = sns(Type="SubscriptionConfirmation", Token="t1", SubscribeURL=SUBSCRIBE, Message="Confirm?")
    delivery = ses(message)
    provider = PROVIDERS["ses"]
    events = provider.split(delivery)
    assert SUBSCRIBE in provider.notice(events[0].body)
    assert provider.notice(json.dumps(sns()).encode()) == ""
    with Store(tmp_path / "manyarm.db") as store:
        store.write(lambda connection: append_events(connection, "ses", events, NOON))
        digest(store)
        (shown,) = confirmations(store.reader())
    assert SUBSCRIBE in shown
    with pytest.raises(RefusedWebhook):
        ses(message | {"SubscribeURL": "https://elsewhere.example/"})


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ({"eventType": "Bounce", "bounce": {"bounceType": "Transient"}}, Kind.OTHER),
        ({"notificationType": "Bounce", "bounce": {"bounceType": "Permanent"}}, Kind.NOT_SENT),
        ({"eventType": "Complaint", "complaint": {"complaintFeedbackType": "not-spam"}}, Kind.OTHER),
        ({"eventType": "Subscription", "subscription": {"newTopicPreferences": {"unsubscribeAll": False}}}, Kind.OTHER),
        ({"eventType": "Rendering Failure"}, Kind.NOT_SENT),
        ({"eventType": "SomethingNew"}, Kind.OTHER),
    ],
)
def test_ses_tells_the_last_word_from_a_passing_one(message, kind):
    mail = {"timestamp": "2026-11-22T12:00:00Z", "tags": {"decision_id": ["d1"]}}
    body = json.dumps(sns(Message=json.dumps(message | {"mail": mail}))).encode()
    reading = PROVIDERS["ses"].read(body)
    assert (reading.kind, reading.decision_id) == (kind, "d1")


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ({"SuppressionReason": "ManualSuppression", "Origin": "Recipient"}, Kind.UNSUBSCRIBE),
        ({"SuppressionReason": "ManualSuppression", "Origin": "Customer", "MessageID": None}, Kind.OTHER),
        ({"SuppressionReason": "HardBounce", "Origin": "Recipient"}, Kind.OTHER),
        ({"SuppressionReason": "SpamComplaint", "Origin": "Recipient"}, Kind.COMPLAINT),
        ({"SuppressionReason": None, "Origin": "Recipient"}, Kind.OTHER),
    ],
)
def test_postmark_suppresses_after_bounces_and_complaints_too_and_that_is_no_unsubscribe(change, kind):
    event = {"RecordType": "SubscriptionChange", "MessageID": "m1", "ChangedAt": "2026-11-22T12:00:00Z",
             "SuppressSending": True, "Metadata": {"decision_id": "d1"}}  # fmt: skip
    assert PROVIDERS["postmark"].read(json.dumps(event | change).encode()).kind is kind


def test_a_message_of_sendgrid_is_known_by_its_whole_id_for_a_request_has_many_recipients():
    event = {"event": "open", "timestamp": int(TIME), "sg_message_id": "request.recvd-1-2.0"}
    assert PROVIDERS["sendgrid"].read(json.dumps(event).encode()).message_id == "request.recvd-1-2.0"


def test_somebody_who_subscribes_again_at_sendgrid_says_so():
    event = {"event": "group_resubscribe", "timestamp": int(TIME), "decision_id": "d1"}
    assert PROVIDERS["sendgrid"].read(json.dumps(event).encode()).kind is Kind.RESUBSCRIBE


KEY = {"webhook_mailgun_key": "key"}


def mailgun(timestamp=TIME, token="token", signed=TIME + "token"):
    signature = hmac.new(b"key", signed.encode(), hashlib.sha256).hexdigest()
    return {"signature": {"timestamp": timestamp, "token": token, "signature": signature}, "event-data": {}}


def test_mailguns_time_and_token_cannot_be_cut_at_another_place():
    enter("mailgun", KEY, mailgun())
    enter("mailgun", KEY, mailgun(timestamp=int(TIME)))
    digits = TIME + "0e00token"
    for cut in (9, 11, 12, 14):
        with pytest.raises(RefusedWebhook):
            enter("mailgun", KEY, mailgun(digits[:cut], digits[cut:], digits))


def test_a_token_of_mailgun_is_good_for_one_event(tmp_path):
    """The signature does not cover the event: whoever has seen a token could put another event beside it."""
    first, forged = RawEvent("e1", b"{}", "token"), RawEvent("e2", b"{}", "token")
    with Store(tmp_path / "manyarm.db") as store:
        keep = lambda *events: store.write(lambda connection: append_events(connection, "mailgun", events, NOON))  # noqa: E731
        assert keep(first).n_new == 1
        assert keep(first).n_duplicate == 1
        with pytest.raises(RefusedWebhook, match="its token came before with another event"):
            keep(RawEvent("e3", b"{}", "another"), forged)
        assert store.reader().execute("SELECT event_key FROM webhook_events").fetchall() == [("e1",)]


SVIX = {"webhook_resend_secret": "whsec_" + base64.b64encode(b"key").decode()}


def svix(event_id="m1", timestamp=TIME, body=b"{}", before="", after=""):
    signed = f"{event_id}.{timestamp}.".encode() + body
    signature = "v1," + base64.b64encode(hmac.new(b"key", signed, hashlib.sha256).digest()).decode()
    return {"svix-id": event_id, "svix-timestamp": timestamp, "svix-signature": before + signature + after}


def test_one_of_several_signatures_of_svix_is_enough_and_other_versions_are_none():
    for before, after in (("v1,b3RoZXI= ", ""), ("v1a,b3RoZXI= ", " v1,b3RoZXI="), ("", " ")):
        enter("resend", SVIX, b"{}", svix(before=before, after=after))
    good = svix()["svix-signature"]
    for signatures in ("v1,", "v1a," + good[3:], good[3:], good + "x", "v1,b3RoZXI="):
        with pytest.raises(RefusedWebhook):
            enter("resend", SVIX, b"{}", svix() | {"svix-signature": signatures})


@pytest.mark.parametrize("timestamp", [f"{TIME}.0", f"0{TIME}", f"{TIME[:-1]}e1", ""])
def test_a_time_of_svix_is_ten_digits_so_that_no_dot_can_be_moved(timestamp):
    with pytest.raises(RefusedWebhook):
        enter("resend", SVIX, b"{}", svix(timestamp=timestamp))


@pytest.mark.parametrize("name", ["postmark", "brevo"])
@pytest.mark.parametrize(
    ("headers", "is_let_in"),
    [
        ({"authorization": "Bearer hush"}, True),
        ({"authorization": "Basic " + base64.b64encode(b"anybody:hush").decode()}, True),
        ({"x-webhook-token": "hush"}, True),
        ({"authorization": "Bearer hush "}, True),
        ({"authorization": "Bearer Hush"}, False),
        ({"authorization": "hush"}, False),
        ({"authorization": "Basic hush"}, False),
        ({"authorization": "Basic " + base64.b64encode(b"hush").decode()}, False),
        ({"authorization": "Basic " + base64.b64encode(b"hush:").decode()}, False),
        ({"authorization": "Bearer no", "x-webhook-token": "hush"}, False),
        ({"x-webhook-token": "h\xfcsh"}, False),
        ({}, False),
    ],
)
def test_a_shared_secret_comes_as_bearer_token_header_or_basic_password(name, headers, is_let_in):
    given = {f"webhook_{name}_secret": "hush"}
    if is_let_in:
        enter(name, given, {}, headers)
    else:
        with pytest.raises(RefusedWebhook):
            enter(name, given, {}, headers)


@pytest.mark.parametrize(
    ("custom", "decision_id"),
    [
        ("decision_id:d1", "d1"),
        ("a:b|decision_id: d:1 |c:d", "d:1"),
        ('{"decision_id": "d1"}', "d1"),
        ('{"decision_id": 17}', "17"),
        ('{"decision_id": ["d1", "d2"]}', None),
        ("{broken", None),
        ("something else", None),
        ("decision_id:", None),
    ],
)
def test_brevos_custom_header_is_read_as_pairs_or_as_json(custom, decision_id):
    body = json.dumps({"event": "click", "ts_event": int(TIME), "X-Mailin-custom": custom}).encode()
    assert PROVIDERS["brevo"].read(body).decision_id == decision_id


@pytest.mark.parametrize(
    ("name", "body", "flag"),
    [
        ("sendgrid", {"event": "open", "timestamp": int(TIME), "sg_machine_open": True}, True),
        ("sendgrid", {"event": "open", "timestamp": int(TIME), "sg_machine_open": False}, None),
        (
            "mailgun",
            mailgun() | {"event-data": {"event": "opened", "timestamp": 1.5, "client-info": {"bot": "apple"}}},
            True,
        ),
        (
            "mailgun",
            mailgun() | {"event-data": {"event": "opened", "timestamp": 1.5, "client-info": {"bot": "gmail"}}},
            None,
        ),
        ("brevo", {"event": "proxy_open", "ts_event": int(TIME)}, True),
        ("customerio", {"metric": "opened", "timestamp": int(TIME), "data": {"prefetched": True}}, True),
    ],
)
def test_a_provider_that_knows_a_machine_is_believed_and_one_that_sees_none_says_nothing(name, body, flag):
    assert PROVIDERS[name].read(json.dumps(body).encode()).clues.flag is flag


@pytest.mark.parametrize("link", ["https://a.example/?decision_id=d1", "https://a.example/?x=1&decision_id=d1#top"])
def test_a_click_names_its_decision_by_the_link_where_nothing_else_does(link):
    body = json.dumps({"event": "click", "timestamp": int(TIME), "url": link}).encode()
    assert PROVIDERS["sendgrid"].read(body).decision_id == "d1"


@pytest.mark.parametrize("at", [None, "soon", True, -1e300, 1e300, "2026-11-22T12:00:00", "0001-01-01T00:00:00Z", [1]])
def test_an_event_without_a_time_that_can_be_is_unreadable(at):
    body = json.dumps({"RecordType": "Open", "ReceivedAt": at}).encode()
    with pytest.raises(UnreadableWebhook):
        PROVIDERS["postmark"].read(body)


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-22T08:00:00.2735393-04:00",  # Postmark's deliveries
        "2026-11-22T12:00:00.2735393Z",
        "2026-11-22 12:00:00.273539+00",  # Resend
        "2026-11-22T12:00:00.273539Z",  # SES
        "1795348800.273539",
    ],
)
def test_times_are_read_in_each_form_that_providers_write(text):
    assert moment(text, what="at") == NOON + timedelta(microseconds=273539)


def test_a_key_of_another_kind_is_refused_when_the_service_starts():
    raw = OLD.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    with pytest.raises(InvalidSettings, match="is no elliptic-curve key"):
        PROVIDERS["sendgrid"].door(Settings({"webhook_sendgrid_public_key": base64.b64encode(raw).decode()}))
