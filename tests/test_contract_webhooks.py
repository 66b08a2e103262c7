"""What every mail provider's webhook promises, whoever it is: `PROVIDERS` is the parametrisation.

The samples are ours, written in the forms that the providers document; keys are made here.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

from service.app import create_app
from service.serving import Serving
from service.settings import Settings
from service.store import Store
from service.webhooks.digest import digest
from service.webhooks.event import Kind
from service.webhooks.refusal import UnreadableWebhook
from service.webhooks.registry import PROVIDERS

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
AFTER = timedelta(minutes=10)
"""From a sending to the events of the samples."""
EC_KEY = ec.generate_private_key(ec.SECP256R1())
RSA_KEY = rsa.generate_private_key(65537, 2048)
TOPIC = "arn:aws:sns:eu-west-1:123456789012:manyarm"
SECRET = "a secret of the tests"
SVIX = "whsec_" + base64.b64encode(b"another secret of the tests").decode()
BROWSER = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
LINK = "https://shop.example/offer?arm=vip"


def certificate(key=RSA_KEY, *, days=30):
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "sns.amazonaws.com")])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(7).not_valid_before(NOON - timedelta(days=1))
    made = builder.not_valid_after(NOON + timedelta(days=days)).sign(key, hashes.SHA256())
    return made.public_bytes(serialization.Encoding.PEM).decode()


def public_key():
    raw = EC_KEY.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(raw).decode()


def seconds(at):
    return int(at.timestamp())


def keyed(key, message):
    return hmac.new(key, message, hashlib.sha256)


def sendgrid(kind, number, decision_id, at, message=1):
    names = {"not_sent": "bounce", "complaint": "spamreport", "other": "processed"}
    event = {"email": "ann@example.org", "timestamp": seconds(at), "event": names.get(kind, kind),
             "sg_event_id": f"event-{number}", "sg_message_id": f"request.recvd-{message}.0",
             "useragent": BROWSER, "ip": "192.0.2.1"}  # fmt: skip
    return [event | ({"url": LINK} if kind == "click" else {}) | ({"decision_id": decision_id} if decision_id else {})]


def mailgun(kind, number, decision_id, at, message=1):
    names = {"open": "opened", "click": "clicked", "unsubscribe": "unsubscribed", "complaint": "complained",
             "not_sent": "failed", "other": "accepted"}  # fmt: skip
    event = {"event": names.get(kind, kind), "timestamp": at.timestamp(), "id": f"event-{number}", "severity": "permanent",
             "user-variables": {"decision_id": decision_id} if decision_id else {},
             "client-info": {"user-agent": BROWSER, "bot": ""}, "url": LINK,
             "message": {"headers": {"message-id": f"m{message}@example.org"}}}  # fmt: skip
    return {"event-data": event}


def postmark(kind, number, decision_id, at, message=1):
    types = {"open": ("Open", "ReceivedAt"), "click": ("Click", "ReceivedAt"), "delivered": ("Delivery", "DeliveredAt"),
             "complaint": ("SpamComplaint", "BouncedAt"), "not_sent": ("Bounce", "BouncedAt"),
             "unsubscribe": ("SubscriptionChange", "ChangedAt"), "other": ("Transient", "ReceivedAt")}  # fmt: skip
    name, time = types[kind]
    return {"RecordType": name, time: at.isoformat().replace("+00:00", "Z"), "MessageID": f"message-{message}",
            "Metadata": {"decision_id": decision_id} if decision_id else {}, "UserAgent": BROWSER,
            "OriginalLink": LINK, "Type": "HardBounce", "SuppressSending": True, "Origin": "Recipient",
            "SuppressionReason": "ManualSuppression"}  # fmt: skip


def brevo(kind, number, decision_id, at, message=1):
    names = {"open": "opened", "unsubscribe": "unsubscribed", "complaint": "spam", "not_sent": "hard_bounce",
             "other": "request"}  # fmt: skip
    return {"event": names.get(kind, kind), "email": "ann@example.org", "id": 26224, "ts_event": seconds(at),
            "message-id": f"<m{message}@example.org>", "link": LINK, "user_agent": BROWSER,
            "X-Mailin-custom": f"list:summer|decision_id:{decision_id}" if decision_id else ""}  # fmt: skip


def customerio(kind, number, decision_id, at, message=1):
    names = {"open": "opened", "click": "clicked", "unsubscribe": "unsubscribed", "complaint": "spammed",
             "not_sent": "bounced", "other": "sent"}  # fmt: skip
    headers = [{"name": "X-Manyarm-Decision", "value": decision_id}] if decision_id else []
    data = {"delivery_id": f"delivery-{message}", "href": LINK, "headers": headers}
    return {"event_id": f"event-{number}", "object_type": "email", "metric": names.get(kind, kind),
            "timestamp": seconds(at), "data": data}  # fmt: skip


def resend(kind, number, decision_id, at, message=1):
    names = {"open": "opened", "click": "clicked", "complaint": "complained", "not_sent": "bounced", "other": "sent"}
    seen = {"ipAddress": "192.0.2.1", "link": LINK, "timestamp": at.isoformat(), "userAgent": BROWSER}
    return {"type": f"email.{names.get(kind, kind)}", "created_at": at.isoformat(sep=" "),
            "data": {"email_id": f"message-{message}", "tags": {"decision_id": decision_id} if decision_id else {},
                     **({"click": seen} if kind == "click" else {}),
                     **({"bounce": {"type": "Permanent"}} if kind == "not_sent" else {})}}  # fmt: skip


def ses(kind, number, decision_id, at, message=1):
    names = {"delivered": "Delivery", "open": "Open", "click": "Click", "complaint": "Complaint", "not_sent": "Bounce",
             "unsubscribe": "Subscription", "other": "Send"}  # fmt: skip
    detail = {"timestamp": at.isoformat(), "userAgent": BROWSER, "link": LINK, "bounceType": "Permanent",
              "newTopicPreferences": {"unsubscribeAll": True}}  # fmt: skip
    part = {"not_sent": "bounce", "delivered": "delivery", "unsubscribe": "subscription"}.get(kind, kind)
    mail = {"timestamp": NOON.isoformat(), "messageId": f"message-{message}",
            "tags": {"decision_id": [decision_id]} if decision_id else {}}  # fmt: skip
    return {"eventType": names[kind], "mail": mail} | ({part: detail} if kind != "other" else {})


def wrapped(message, number, now, *, key=RSA_KEY, version="2", topic=TOPIC, kind="Notification", **more):
    """A message in the signed envelope of SNS."""
    envelope = {"Type": kind, "MessageId": f"sns-{number}", "TopicArn": topic, "Message": message,
                "Timestamp": now.isoformat().replace("+00:00", "Z"), **more}  # fmt: skip
    text = "".join(f"{name}\n{envelope[name]}\n" for name in sorted(envelope))
    algorithm = hashes.SHA256() if version == "2" else hashes.SHA1()
    signature = base64.b64encode(key.sign(text.encode(), padding.PKCS1v15(), algorithm)).decode()
    url = "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-7.pem"
    return json.dumps(envelope | {"SignatureVersion": version, "Signature": signature, "SigningCertURL": url}).encode()


def signed_sendgrid(body, now, _):
    time = str(seconds(now))
    signature = EC_KEY.sign(time.encode() + body, ec.ECDSA(hashes.SHA256()))
    name = "X-Twilio-Email-Event-Webhook-"
    return {f"{name}Signature": base64.b64encode(signature).decode(), f"{name}Timestamp": time}, body


def signed_mailgun(body, now, number):
    time, token = str(seconds(now)), f"{number:050d}"
    signature = {
        "timestamp": time,
        "token": token,
        "signature": keyed(SECRET.encode(), (time + token).encode()).hexdigest(),
    }
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return {}, body
    return {}, json.dumps({"signature": signature} | document).encode() if isinstance(document, dict) else body


def signed_customerio(body, now, _):
    time = str(seconds(now))
    signature = keyed(SECRET.encode(), f"v0:{time}:".encode() + body).hexdigest()
    return {"X-CIO-Signature": signature, "X-CIO-Timestamp": time}, body


def signed_resend(body, now, number):
    time = str(seconds(now))
    digest = keyed(base64.b64decode(SVIX[6:]), f"msg_{number}.{time}.".encode() + body).digest()
    signatures = f"v1,{base64.b64encode(b'x' * 32).decode()} v1,{base64.b64encode(digest).decode()}"
    return {"svix-id": f"msg_{number}", "svix-timestamp": time, "svix-signature": signatures}, body


def with_secret(body, _, __):
    return {"Authorization": f"Bearer {SECRET}"}, body


@dataclass(frozen=True)
class Sender:
    """A provider as it behaves: its form of an event, and how it signs a body."""

    settings: dict
    form: object
    signed: object
    covers_body: bool = True
    kinds: tuple = ("delivered", "open", "click", "unsubscribe", "complaint", "not_sent", "other")

    def send(self, kind="click", number=1, decision_id="d1", at=NOON + AFTER, now=NOON + AFTER, message=None):
        """Headers and body of one delivery."""
        document = self.form(kind, number, decision_id, at, message or number)
        return self.signed(json.dumps(document).encode(), now, number)


SENDERS = {
    "sendgrid": Sender({"webhook_sendgrid_public_key": public_key()}, sendgrid, signed_sendgrid),
    "mailgun": Sender({"webhook_mailgun_key": SECRET}, mailgun, signed_mailgun, covers_body=False),
    "postmark": Sender({"webhook_postmark_secret": SECRET}, postmark, with_secret, covers_body=False),
    "brevo": Sender({"webhook_brevo_secret": SECRET}, brevo, with_secret, covers_body=False),
    "customerio": Sender({"webhook_customerio_key": SECRET}, customerio, signed_customerio),
    "resend": Sender(
        {"webhook_resend_secret": SVIX}, resend, signed_resend,
        kinds=("delivered", "open", "click", "complaint", "not_sent", "other"),
    ),
    "ses": Sender(
        {"webhook_ses_certificate": certificate(), "webhook_ses_topic_arn": TOPIC}, ses,
        lambda body, now, number: ({}, wrapped(body.decode("utf-8", "replace"), number, now)), covers_body=False,
    ),
}  # fmt: skip
ALL = {name: value for sender in SENDERS.values() for name, value in sender.settings.items()}


@dataclass
class Http:
    """A service with every provider set up, and one decision d1."""

    store: Store
    log: object
    client: TestClient
    now: list = field(default_factory=lambda: [NOON])

    def post(self, provider, sent):
        headers, body = sent
        return self.client.post(f"/v1/webhooks/{provider}", headers=headers, content=body)

    def rows(self, columns="provider, event_key, state, reason", table="webhook_events"):
        return self.store.reader().execute(f"SELECT {columns} FROM {table} ORDER BY rowid").fetchall()


@pytest.fixture(scope="module")
def shared(tmp_path_factory, worlds):
    """Every provider is set up; the clock stands ten minutes after noon, when d1 was decided."""
    with serving(tmp_path_factory.mktemp("shared"), worlds, ALL) as made:
        yield made


@pytest.fixture
def http(shared):
    """The same as if it were new."""

    def forget(connection):
        for table in ("webhook_events", "outcomes", "opt_outs"):
            connection.execute(f"DELETE FROM {table}")
        connection.execute("DELETE FROM decisions WHERE decision_id <> 'd1'")
        connection.execute("UPDATE decisions SET state = 'pending', sent_at = NULL, due_at = '2026-11-25T12'")

    yield shared
    shared.store.write(forget)


class serving:  # noqa: N801 - used like a function
    """A running service."""

    def __init__(self, folder, worlds, given):
        events = {"open": 0.1, "click": 0.2, "unsubscribe": -1.0, "complaint": -1.0}
        self.campaign = worlds.campaign(reward={"window": "72h", "events": events})
        self.store = Store(folder / "manyarm.db", salt=worlds.salt, secret=worlds.secret)
        self.log = self.store.open_log(self.campaign, NOON)
        clock = [NOON]
        app = create_app(Serving(self.store, self.log, clock=lambda: clock[0], settings=Settings(given)))
        self.client = TestClient(app, raise_server_exceptions=False)
        self.made = Http(self.store, self.log, self.client, clock)

    def __enter__(self):
        self.client.__enter__()
        body = {"customer_id": "ann", "decision_id": "d1", "context": {"level": "high"}}
        assert self.client.post("/v1/decisions", json=body).status_code == 200
        self.made.now[0] = NOON + AFTER
        return self.made

    def __exit__(self, *error):
        self.client.__exit__(*error)
        self.store.close()


def changed(text, place):
    """A text with one character replaced by another of its kind."""
    return text[:place] + ("1" if text[place] != "1" else "2") + text[place + 1 :]


def test_every_provider_has_a_sender_below():
    assert SENDERS.keys() == PROVIDERS.keys()
    assert ALL.keys() == {name for provider in PROVIDERS.values() for name in provider.needs}


def test_every_provider_and_each_of_its_settings_is_documented():
    text = (Path(__file__).parents[1] / "docs" / "webhooks.md").read_text(encoding="utf-8")
    for name, provider in PROVIDERS.items():
        assert all(f"`{word}`" in text for word in (name, *provider.needs)), name


@pytest.mark.parametrize("name", SENDERS)
def test_a_signed_event_is_kept_as_it_came_and_answered_at_once(http, name):
    headers, body = SENDERS[name].send()
    response = http.post(name, (headers, body))
    assert (response.status_code, response.json()) == (200, {"stored": 1, "duplicates": 0, "notice": ""})
    ((provider, raw, state, at),) = http.rows("provider, body, state, received_at")
    assert (provider, state, datetime.fromisoformat(at)) == (name, "waiting", NOON + AFTER)
    assert raw in {body, body.strip(b"[]")}
    assert http.rows(table="outcomes", columns="*") == [], "it is read afterwards"


@pytest.mark.parametrize("name", SENDERS)
def test_each_kind_of_event_has_its_consequence(http, name):
    sender = SENDERS[name]
    for number, kind in enumerate(sender.kinds):
        assert http.post(name, sender.send(kind, number)).status_code == 200
    digest(http.store)
    assert [state for _, _, state, _ in http.rows()] == ["parsed"] * len(sender.kinds)
    assert [kind for (kind,) in http.rows("kind")] == list(sender.kinds)
    outcomes = http.rows("type, decision_id, at", "outcomes")
    assert {kind for kind, _, _ in outcomes} == set(sender.kinds) & {"open", "click", "unsubscribe", "complaint"}
    assert {(of, datetime.fromisoformat(at)) for _, of, at in outcomes} == {("d1", NOON + AFTER)}
    ((sent_at, state),) = http.rows("sent_at, state", "decisions")
    assert (datetime.fromisoformat(sent_at), state) == (NOON + AFTER, "pending"), "a bounce after a delivery is none"
    assert len(http.rows("reason", "opt_outs")) == 1


@pytest.mark.parametrize("name", SENDERS)
def test_a_message_that_never_arrived_makes_its_decision_void(http, name):
    http.post(name, SENDERS[name].send("not_sent"))
    digest(http.store)
    assert http.rows("state", "decisions") == [("void",)]


@pytest.mark.parametrize("name", SENDERS)
def test_a_replay_is_a_duplicate_before_and_after_it_was_read(http, name):
    sent = SENDERS[name].send()
    first = http.post(name, sent)
    assert first.json()["stored"] == 1
    assert http.post(name, sent).json() == {"stored": 0, "duplicates": 1, "notice": ""}
    digest(http.store)
    assert http.post(name, sent).json()["duplicates"] == 1
    digest(http.store, again=True)
    assert len(http.rows()) == len(http.rows("event_id", "outcomes")) == 1


@pytest.mark.parametrize("name", SENDERS)
def test_no_byte_of_a_signature_or_of_what_it_covers_can_be_changed(shared, name):
    sender = SENDERS[name]
    headers, body = sender.send()
    for header, value in headers.items():
        used = value.rpartition(" ")[2]  # of several signatures one fits
        start = len(value) - len(used)
        for place in {start, start + len(used) // 2, *range(max(start, len(value) - 3), len(value))}:
            assert shared.post(name, (headers | {header: changed(value, place)}, body)).status_code == 401, header
    if sender.covers_body:
        for place in range(0, len(body), 17):
            assert shared.post(name, (headers, body[:place] + b"~" + body[place + 1 :])).status_code == 401
    assert shared.rows() == []


@pytest.mark.parametrize("name", SENDERS)
def test_what_is_not_signed_at_all_is_refused(shared, name):
    _, body = SENDERS[name].send()
    if name == "mailgun":
        body = json.dumps(json.loads(body) | {"signature": {"timestamp": "", "token": "", "signature": ""}}).encode()
    if name == "ses":
        body = json.dumps(json.loads(body) | {"Signature": ""}).encode()
    response = shared.post(name, ({}, body))
    assert (response.status_code, response.json()["title"]) == (401, "RefusedWebhook")
    assert "Nothing was stored" in response.json()["detail"]
    assert shared.rows() == []


@pytest.mark.parametrize("name", sorted(SENDERS.keys() - {"postmark", "brevo"}))
@pytest.mark.parametrize("age", [timedelta(hours=1, seconds=1), timedelta(minutes=-6)])
def test_a_delivery_of_another_time_is_refused_though_it_is_signed(shared, name, age):
    response = shared.post(name, SENDERS[name].send(now=NOON + AFTER - age))
    assert response.status_code == 401
    assert "webhook_tolerance" in response.json()["detail"]
    assert shared.rows() == []


@pytest.mark.parametrize("name", sorted(SENDERS.keys() - {"postmark", "brevo"}))
@pytest.mark.parametrize("age", [timedelta(minutes=59), timedelta(minutes=-4)])
def test_a_delivery_within_the_tolerance_is_taken(http, name, age):
    assert http.post(name, SENDERS[name].send(now=NOON + AFTER - age)).status_code == 200


@pytest.mark.parametrize("name", SENDERS)
def test_an_event_of_no_decision_here_is_kept_and_counted_and_tried_again_when_asked(http, name):
    sender = SENDERS[name]
    http.post(name, sender.send(decision_id="d2"))
    http.post(name, sender.send("open", 2, decision_id=None))
    digest(http.store)
    assert [(state, reason) for _, _, state, reason in http.rows()] == [
        ("unknown", "no decision with that id"),
        ("unknown", "it carries no decision_id"),
    ]
    http.client.post("/v1/decisions", json={"customer_id": "bob", "decision_id": "d2", "context": {}})
    assert digest(http.store).counts.total() == 0, "only when asked"
    digest(http.store, again=True)
    assert [state for _, _, state, _ in http.rows()] == ["parsed", "unknown"]
    assert http.rows("decision_id, type", "outcomes") == [("d2", "click")]


@pytest.mark.parametrize("name", SENDERS)
def test_events_of_a_message_join_by_its_id_where_only_one_of_them_names_the_decision(http, name):
    sender = SENDERS[name]
    http.post(name, sender.send("open", 1, decision_id=None))
    http.post(name, sender.send("other", 2, message=1))
    digest(http.store)
    assert http.rows("decision_id, type", "outcomes") == [("d1", "open")]


@pytest.mark.parametrize("name", SENDERS)
def test_events_of_another_message_do_not_join(http, name):
    """SendGrid's messages of one request have ids that begin alike."""
    sender = SENDERS[name]
    http.post(name, sender.send("other", 1, message=1))
    http.post(name, sender.send("open", 2, decision_id=None, message=2))
    digest(http.store)
    assert [state for _, _, state, _ in http.rows()] == ["parsed", "unknown"]
    assert http.rows("type", "outcomes") == []


@pytest.mark.parametrize("name", SENDERS)
def test_an_event_that_is_signed_and_has_another_form_is_kept_as_unreadable(http, name):
    sender = SENDERS[name]
    for number, text in enumerate([b'{"event": 7}', b'{"event-data": {}, "data": [], "mail": null}']):
        assert http.post(name, sender.signed(text, NOON + AFTER, number)).status_code == 200
    digest(http.store)
    assert {state for _, _, state, _ in http.rows()} == {"unreadable"}
    assert all(reason for *_, reason in http.rows())


@pytest.mark.parametrize("name", SENDERS)
@pytest.mark.parametrize("body", [b"", b"{", b"nothing", b'"\xff"', b"[" * 100_000, b'{"a": "\\ud800"}'])
def test_a_body_that_is_no_json_is_refused_with_400(shared, name, body):
    sent = ({}, body) if name in {"mailgun", "ses"} else SENDERS[name].signed(body, NOON + AFTER, 1)
    assert shared.post(name, sent).status_code == 400
    assert shared.rows() == []


@pytest.mark.parametrize("name", SENDERS)
def test_a_provider_that_is_not_set_up_says_which_setting_is_missing(tmp_path, worlds, name):
    given = {key: value for key, value in ALL.items() if key not in SENDERS[name].settings}
    with serving(tmp_path, worlds, given) as http:
        response = http.post(name, SENDERS[name].send())
        assert (response.status_code, response.json()["title"]) == (404, "NoSuchWebhook")
        assert all(setting in response.json()["detail"] for setting in SENDERS[name].settings)
        assert http.rows() == []


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=5,
)


def with_another_value(document, data):
    """A document with one of its values, at any depth, replaced."""
    if isinstance(document, dict) and document and data.draw(st.booleans()):
        key = data.draw(st.sampled_from(sorted(document)))
        return document | {key: with_another_value(document[key], data)}
    if isinstance(document, list) and document:
        return [with_another_value(document[0], data), *document[1:]]
    return data.draw(JSON_VALUES)


@pytest.mark.parametrize("name", SENDERS)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_whatever_stands_in_a_signed_event_is_read_or_found_unreadable(name, data):
    sender = SENDERS[name]
    kind = data.draw(st.sampled_from(sender.kinds))
    document = with_another_value(sender.form(kind, 1, "d1", NOON + AFTER), data)
    document = document[0] if isinstance(document, list) and document else document
    _, body = sender.signed(json.dumps(document).encode(), NOON + AFTER, 1)
    with suppress(UnreadableWebhook):
        reading = PROVIDERS[name].read(body)
        assert (type(reading.kind), reading.at.utcoffset()) == (Kind, timedelta(0))


@pytest.mark.parametrize("name", SENDERS)
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=st.binary(max_size=60) | JSON_VALUES.map(lambda value: json.dumps(value).encode()), data=st.data())
def test_no_body_without_a_signature_is_stored_or_makes_an_error_of_ours(shared, name, body, data):
    headers, _ = SENDERS[name].send()
    kept = {header: value for header, value in headers.items() if data.draw(st.booleans())}
    if name in {"postmark", "brevo"}:
        kept = {}
    response = shared.post(name, (kept, body))
    assert response.status_code in {400, 401}
    assert shared.rows() == []


@pytest.mark.parametrize("name", SENDERS)
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), number=st.integers(0, 10**9))
def test_whatever_a_provider_signs_is_kept_and_dealt_with(http, name, data, number):
    sender = SENDERS[name]
    document = with_another_value(sender.form("click", number, "d1", NOON + AFTER), data)
    body = json.dumps([document, document] if name == "brevo" else document).encode()
    response = http.post(name, sender.signed(body, NOON + AFTER, number))
    # Mailgun's signature stands in the body, so a body without one is refused.
    assert response.status_code == 200 or (name == "mailgun" and response.status_code in {400, 401})
    digest(http.store)
    assert "waiting" not in {state for _, _, state, _ in http.rows()}
