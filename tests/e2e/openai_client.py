"""A program as people write them with OpenAI's ``openai``: ``openai_client.py SCENARIO URL JSON``.

It runs under whichever Python has the client, of any version from 1 on. What it was told comes out as one line of JSON.
"""

import asyncio
import json
import sys
from collections.abc import Callable
from typing import Any

import openai

Options = dict[str, Any]


def client(options: Options) -> openai.OpenAI:
    return openai.OpenAI(base_url=options["url"] + "/v1", api_key=options.get("key", "none"), max_retries=0)


def ask(options: Options, **more: Any) -> Any:
    with open(options["file"], "rb") as file:
        asked: Options = {"model": "whisper-1", "file": file, **options.get("fields", {}), **more}
        return client(options).audio.transcriptions.create(**asked)


def plain(answer: Any) -> Any:
    return answer if isinstance(answer, str) else answer.to_dict()


def models(options: Options) -> Any:
    listed = [model.id for model in client(options).models.list()]
    return {"listed": listed, "one": client(options).models.retrieve(options["model"]).to_dict()}


def create(options: Options) -> Any:
    return {"told": plain(ask(options))}


def formats(options: Options) -> Any:
    times = {"timestamp_granularities": ["word", "segment"]}
    known = ("json", "text", "srt", "vtt", "verbose_json", "diarized_json")
    return {form: plain(ask(options, response_format=form, **(times if "verbose" in form else {}))) for form in known}


def stream(options: Options) -> Any:
    return {"events": [event.to_dict() for event in ask(options, stream=True)]}


def raw(options: Options) -> Any:
    with open(options["file"], "rb") as file:
        answer = client(options).audio.transcriptions.with_raw_response.create(model="whisper-1", file=file)
    return {"headers": dict(answer.headers), "told": answer.parse().to_dict()}


def together(options: Options) -> Any:
    """Several requests at a time by the asynchronous client, one of them a stream."""

    async def one(asked: openai.AsyncOpenAI) -> str:
        with open(options["file"], "rb") as file:
            return (await asked.audio.transcriptions.create(model="whisper-1", file=file)).text

    async def streamed(asked: openai.AsyncOpenAI) -> str:
        with open(options["file"], "rb") as file:
            events = await asked.audio.transcriptions.create(model="whisper-1", file=file, stream=True)
            return "".join([event.delta async for event in events if event.type == "transcript.text.delta"])

    async def all_of_them() -> list[str]:
        async with openai.AsyncOpenAI(base_url=options["url"] + "/v1", api_key="none", max_retries=0) as asked:
            return list(await asyncio.gather(one(asked), one(asked), streamed(asked)))

    return {"texts": asyncio.run(all_of_them())}


def errors(options: Options) -> Any:
    """What is raised for each of several sets of fields."""
    raised = []
    for fields in options["wrong"]:
        try:
            ask(options | {"fields": fields})
            raised.append(None)
        except openai.APIStatusError as error:
            found = {"kind": type(error).__name__, "status": error.status_code, "request": error.request_id}
            raised.append(found | {"code": error.code, "param": error.param, "message": error.message})
    return {"raised": raised}


if __name__ == "__main__":
    scenarios: dict[str, Callable[[Options], Any]] = {
        "models": models, "create": create, "formats": formats, "stream": stream, "raw": raw, "together": together,
        "errors": errors,
    }  # fmt: skip
    _, name, url, more = sys.argv
    told = scenarios[name]({"url": url, **json.loads(more)})
    sys.stdout.write(json.dumps(told | {"version": openai.__version__}, ensure_ascii=False) + "\n")
