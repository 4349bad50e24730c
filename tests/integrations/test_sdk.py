"""A published SDK that is built on HTTPX, with the core at the bottom of it: `openai` before 3."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from httpcore_core import ConnectError, ReadTimeout
from httpcore_core.testing import Exchange, HTTPServer
from tests.integrations import Caller, every_style, settled

openai = pytest.importorskip("openai", reason="openai is not installed for this Python")

QUESTION: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "Hi?"}]}
WORDS = ("Hello", ", ", "world", "!")

# What the SDK and HTTPX make of a body are generators that they do not close; trio says so.
pytestmark = pytest.mark.filterwarnings("ignore:Async generator:ResourceWarning")


def chunk(word: str) -> bytes:
    choice = {"index": 0, "delta": {"content": word}, "finish_reason": None}
    event = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    data = b"data: " + json.dumps(event | {"choices": [choice]}).encode() + b"\n\n"
    return b"%x\r\n%b\r\n" % (len(data), data)


def completions(exchange: Exchange) -> None:
    """``POST /v1/chat/completions``. A conversation with the model "endless" has no end, one with
    "silent" not even a beginning."""
    request = exchange.read()
    if request.header(b"authorization") != b"Bearer key":
        return exchange.respond(b'{"error": {"message": "no key"}}', status=401)
    question = json.loads(request.body)
    if question["model"] == "silent":
        return exchange.peer.hang()
    if not question.get("stream"):
        message = {"role": "assistant", "content": question["messages"][0]["content"] + "!"}
        choice = {"index": 0, "finish_reason": "stop", "message": message}
        answer = {"id": "c", "object": "chat.completion", "created": 1, "model": "m"}
        body = json.dumps(answer | {"choices": [choice]}).encode()
        return exchange.respond(body, headers=[(b"Content-Type", b"application/json")])
    types = [(b"Content-Type", b"text/event-stream"), (b"Transfer-Encoding", b"chunked")]
    exchange.send_head(200, types)
    exchange.peer.send(b"".join(map(chunk, WORDS)))
    while question["model"] == "endless":
        exchange.peer.send(chunk("and so on") * 1000)
    exchange.peer.send(b"e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n")
    return None


@pytest.fixture
def server() -> Iterator[HTTPServer]:
    with HTTPServer({"v1": completions}) as started:
        yield started


class Assistant(Caller):
    """The SDK's client around the one of HTTPX."""

    def __init__(self, style: str, url: str, key: str = "key", timeout: float = 30.0) -> None:
        super().__init__(style)
        self.sdk: Any = (openai.OpenAI if self.is_sync else openai.AsyncOpenAI)(
            api_key=key,
            base_url=f"{url}/v1",
            http_client=self.client,
            max_retries=0,
            timeout=timeout,
        )

    async def ask(self, **changes: Any) -> Any:
        return await settled(self.sdk.chat.completions.create(**QUESTION | changes))

    async def next(self, stream: Any) -> str | None:
        """The next word of an answer; None at its end."""
        found = await settled(next(stream, None) if self.is_sync else anext(stream, None))
        return found and found.choices[0].delta.content


@every_style
async def test_answer_at_once(style: str, server: HTTPServer) -> None:
    async with Assistant(style, server.url) as assistant:
        answers = [await assistant.ask() for _ in range(3)]
    assert [answer.choices[0].message.content for answer in answers] == ["Hi?!"] * 3
    assert len(server.connections) == 1
    assert json.loads(server.requests[0].body) == QUESTION


@every_style
async def test_answer_in_parts(
    style: str, server: HTTPServer, settled: Callable[[Any], None]
) -> None:
    async with Assistant(style, server.url) as assistant:
        for _ in range(2):
            stream = await assistant.ask(stream=True)
            assert [await assistant.next(stream) for _ in WORDS] == list(WORDS)
            assert await assistant.next(stream) is None
            settled(assistant.transport.pool)
    assert len(server.connections) == 1


@every_style
async def test_broken_out_of_an_answer(
    style: str, server: HTTPServer, settled: Callable[[Any], None]
) -> None:
    async with Assistant(style, server.url) as assistant:
        stream = await assistant.ask(model="endless", stream=True)
        if assistant.is_sync:
            with stream:
                for first in stream:  # noqa: B007
                    break
        else:
            async with stream:
                async for first in stream:  # noqa: B007
                    break
        assert first.choices[0].delta.content == WORDS[0]
        settled(assistant.transport.pool)
        server.wait_until_done()  # the server has seen the connection end
        assert (await assistant.ask()).choices[0].message.content == "Hi?!"
        assert [peer.ended is None for peer in server.connections] == [False, True]


@every_style
async def test_errors_are_those_that_the_sdk_knows(style: str, server: HTTPServer) -> None:
    async with Assistant(style, server.url, key="wrong") as assistant:
        with pytest.raises(openai.AuthenticationError, match="no key"):
            await assistant.ask()
    async with Assistant(style, server.url, timeout=0.05) as assistant:
        with pytest.raises(openai.APITimeoutError) as caught:
            await assistant.ask(model="silent")
    assert isinstance(caught.value.__cause__.__cause__, ReadTimeout)
    async with Assistant(style, "http://127.0.0.1:1") as assistant:
        with pytest.raises(openai.APIConnectionError) as caught:
            await assistant.ask()
    assert isinstance(caught.value.__cause__.__cause__, ConnectError)
