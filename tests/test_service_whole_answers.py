"""An answer is one write to its client, in the order in which it was made, whatever the server does around it."""

from __future__ import annotations

import asyncio

import uvicorn
from hypothesis import given
from hypothesis import strategies as st
from uvicorn.server import ServerState

from service.whole_answers import Gathered, WholeAnswers

GET = b"GET / HTTP/1.1\r\nHost: here\r\n%s\r\n"


class Client(asyncio.Transport):
    """What a client was sent, write by write."""

    def __init__(self):
        super().__init__()
        self.writes = []
        self.is_closed = False

    def write(self, data):
        assert not self.is_closed
        self.writes.append(bytes(data))

    def close(self):
        self.is_closed = True

    def is_closing(self):
        return self.is_closed

    def pause_reading(self):
        pass

    def resume_reading(self):
        pass

    def get_extra_info(self, name, default=None):
        return default


async def app(scope, receive, send):
    """Answers with its pieces, each when the loop comes round again."""
    pieces = [b"one", b"two", b"three"] if scope["path"] == "/pieces" else [b"whole"]
    length = str(sum(map(len, pieces))).encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", length)]})
    for piece in pieces:
        await send({"type": "http.response.body", "body": piece, "more_body": piece is not pieces[-1]})
        await asyncio.sleep(0)


def talked(*requests):
    """What a client is sent for requests that come at once."""

    async def talk():
        config = uvicorn.Config(app, http=WholeAnswers, lifespan="off", log_config=None)
        config.load()
        client, protocol = Client(), WholeAnswers(config, ServerState(), {})
        protocol.connection_made(client)
        for request in requests:
            protocol.data_received(request)
        for _ in range(50):
            await asyncio.sleep(0)
        protocol.connection_lost(None)
        return client

    return asyncio.run(talk())


def test_an_answer_is_one_write():
    client = talked(GET % b"")
    assert len(client.writes) == 1
    head, _, body = client.writes[0].partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200")
    assert body == b"whole"


def test_requests_of_one_connection_are_answered_one_write_each():
    client = talked(GET % b"", GET % b"", GET % b"")
    assert [write.startswith(b"HTTP/1.1 200") and write.endswith(b"whole") for write in client.writes] == [True] * 3


def test_pieces_of_a_long_answer_come_in_order_and_none_waits_for_the_end():
    client = talked(b"GET /pieces HTTP/1.1\r\nHost: here\r\n\r\n")
    assert b"".join(client.writes).endswith(b"\r\n\r\nonetwothree")
    assert client.writes[0].endswith(b"one")
    assert len(client.writes) == 3


def test_a_connection_that_is_to_end_is_closed_after_its_answer():
    client = talked(GET % b"Connection: close\r\n")
    assert client.is_closed
    assert b"".join(client.writes).endswith(b"whole")


def test_what_is_no_request_is_told_so_before_the_connection_ends():
    client = talked(b"nonsense\r\n\r\n")
    assert client.is_closed
    assert b"".join(client.writes).startswith(b"HTTP/1.1 400")


@given(st.lists(st.one_of(st.binary(min_size=1, max_size=5), st.none()), max_size=12), st.booleans())
def test_whatever_is_written_arrives_in_order_and_at_the_latest_when_the_round_is_over(steps, closes):
    """None stands for the end of a round."""

    async def written():
        client, sent = Client(), b""
        gathered = Gathered(client, asyncio.get_running_loop())
        for step in steps:
            if step is None:
                await asyncio.sleep(0)
                assert b"".join(client.writes) == sent
            else:
                gathered.write(step)
                sent += step
        if closes:
            gathered.close()
        else:
            await asyncio.sleep(0)
        assert b"".join(client.writes) == sent
        assert client.is_closed == closes

    asyncio.run(written())


def test_what_is_held_does_not_change_with_the_buffer_it_came_in():
    async def written():
        client, buffer = Client(), bytearray(b"first")
        Gathered(client, asyncio.get_running_loop()).write(buffer)
        buffer[:] = b"other"
        await asyncio.sleep(0)
        return client.writes

    assert asyncio.run(written()) == [b"first"]
