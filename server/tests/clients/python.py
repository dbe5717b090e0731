"""Calls the model door with the unchanged Python clients of OpenAI and Anthropic, through every shape they speak, and prints what each call cost.

Each line is a JSON list: what was called, tokens sent, cached and answered, as the client was told.
"""

import base64
import json
import os

import anthropic
import openai

BASE, KEY, MODEL = os.environ["BASE_URL"], os.environ["KEY"], os.environ["MODEL"]
SPENT = os.environ["SPENT_KEY"]
QUESTION = "What is the weather in Paris?"
CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
PICTURE = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(200)).decode()

# No retries: what a call meets, the test is to see.
oai = openai.OpenAI(base_url=f"{BASE}/v1", api_key=KEY, max_retries=0)
ant = anthropic.Anthropic(base_url=BASE, api_key=KEY, max_retries=0)


def tell(name, sent, cached, answered):
    print(json.dumps([name, sent, cached, answered]), flush=True)


def cached(details):
    return (details.cached_tokens or 0) if details else 0


def told_by_openai(name, usage):
    tell(name, usage.prompt_tokens, cached(usage.prompt_tokens_details), usage.completion_tokens)


def chat():
    tools = [{"type": "function", "function": {"name": "get_weather", "parameters": CITY}}]
    messages = [{"role": "user", "content": QUESTION}]
    asked = oai.chat.completions.create(model=MODEL, messages=messages, tools=tools, max_tokens=100)
    call = asked.choices[0].message.tool_calls[0]
    assert (call.function.name, json.loads(call.function.arguments)) == ("get_weather", {"city": "Paris"}), asked
    told_by_openai("chat, a tool", asked.usage)

    messages += [asked.choices[0].message.model_dump(exclude_none=True), {"role": "tool", "tool_call_id": call.id, "content": "sunny"}]
    said = oai.chat.completions.create(model=MODEL, messages=messages, tools=tools)
    assert said.choices[0].message.content == "It is sunny.", said
    told_by_openai("chat, its result", said.usage)

    arguments, text, usage = "", "", None
    for chunk in oai.chat.completions.create(
        model=MODEL, messages=messages[:1], tools=tools, stream=True, stream_options={"include_usage": True}
    ):
        usage = chunk.usage or usage
        for choice in chunk.choices:
            for part in choice.delta.tool_calls or []:
                arguments += part.function.arguments or ""
    assert json.loads(arguments) == {"city": "Paris"}, arguments
    told_by_openai("chat, a tool in a stream", usage)

    pictured = [{"type": "text", "text": "What is this?"}, {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PICTURE}"}}]
    for chunk in oai.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": pictured}], stream=True):
        assert chunk.usage is None, "usage was not asked for"
        text += "".join(choice.delta.content or "" for choice in chunk.choices)
    assert text == "A picture.", text
    tell("chat, a picture in a stream", None, None, None)

    said = oai.chat.completions.create(
        model=MODEL, messages=[{"role": "user", "content": "JSON, please."}], response_format={"type": "json_object"}
    )
    assert json.loads(said.choices[0].message.content) == {"ok": True}, said
    told_by_openai("chat, JSON", said.usage)


def completions():
    said = oai.completions.create(model=MODEL, prompt="Say something.", max_tokens=50)
    assert said.choices[0].text == "Something.", said
    told_by_openai("completion", said.usage)
    text, usage = "", None
    for chunk in oai.completions.create(
        model=MODEL, prompt="Say something.", stream=True, stream_options={"include_usage": True}
    ):
        usage = chunk.usage or usage
        text += "".join(choice.text or "" for choice in chunk.choices)
    assert text == "Something.", text
    told_by_openai("completion in a stream", usage)


def embeddings():
    said = oai.embeddings.create(model=MODEL, input="Paris", encoding_format="float")
    assert said.data[0].embedding == [0.5, 0.25], said
    tell("embedding", said.usage.prompt_tokens, 0, 0)


def responses():
    def told(name, response):
        usage = response.usage
        tell(name, usage.input_tokens, cached(usage.input_tokens_details), usage.output_tokens)

    tools = [{"type": "function", "name": "get_weather", "parameters": CITY, "strict": False}]
    asked = oai.responses.create(model=MODEL, input=QUESTION, tools=tools, max_output_tokens=100)
    call = next(item for item in asked.output if item.type == "function_call")
    assert (call.name, json.loads(call.arguments)) == ("get_weather", {"city": "Paris"}), asked
    told("response, a tool", asked)

    items = [
        {"role": "user", "content": QUESTION},
        {"type": "function_call", "call_id": call.call_id, "name": call.name, "arguments": call.arguments},
        {"type": "function_call_output", "call_id": call.call_id, "output": "sunny"},
    ]
    said = oai.responses.create(model=MODEL, input=items, tools=tools)
    assert said.output_text == "It is sunny.", said
    told("response, its result", said)

    text, done = "", None
    for event in oai.responses.create(model=MODEL, input=items, tools=tools, stream=True):
        if event.type == "response.output_text.delta":
            text += event.delta
        if event.type == "response.completed":
            done = event.response
    assert text == "It is sunny.", text
    told("response in a stream", done)

    pictured = [{"type": "input_text", "text": "What is this?"}, {"type": "input_image", "image_url": f"data:image/png;base64,{PICTURE}"}]
    said = oai.responses.create(model=MODEL, input=[{"role": "user", "content": pictured}])
    assert said.output_text == "A picture.", said
    told("response, a picture", said)


def messages():
    def told(name, usage):
        read = usage.cache_read_input_tokens or 0
        tell(name, usage.input_tokens + read + (usage.cache_creation_input_tokens or 0), read, usage.output_tokens)

    tools = [{"name": "get_weather", "input_schema": CITY}]
    turns = [{"role": "user", "content": QUESTION}]
    asked = ant.messages.create(model=MODEL, messages=turns, tools=tools, max_tokens=100)
    call = next(block for block in asked.content if block.type == "tool_use")
    assert (asked.stop_reason, call.name, call.input) == ("tool_use", "get_weather", {"city": "Paris"}), asked
    assert asked._request_id, "the call is named"
    told("message, a tool", asked.usage)

    turns += [
        {"role": "assistant", "content": [{"type": "tool_use", "id": call.id, "name": call.name, "input": call.input}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": call.id, "content": "sunny"}]},
    ]
    said = ant.messages.create(model=MODEL, messages=turns, tools=tools, max_tokens=100)
    assert said.content[0].text == "It is sunny.", said
    told("message, its result", said.usage)

    with ant.messages.stream(model=MODEL, messages=turns, tools=tools, max_tokens=100) as stream:
        assert "".join(stream.text_stream) == "It is sunny."
        told("message in a stream", stream.get_final_message().usage)
    with ant.messages.stream(model=MODEL, messages=turns[:1], tools=tools, max_tokens=100) as stream:
        call = next(block for block in stream.get_final_message().content if block.type == "tool_use")
        assert call.input == {"city": "Paris"}, call
        told("message, a tool in a stream", stream.get_final_message().usage)

    source = {"type": "base64", "media_type": "image/png", "data": PICTURE}
    pictured = [{"type": "text", "text": "What is this?"}, {"type": "image", "source": source}]
    said = ant.messages.create(model=MODEL, messages=[{"role": "user", "content": pictured}], max_tokens=100)
    assert said.content[0].text == "A picture.", said
    told("message, a picture", said.usage)

    assert ant.messages.count_tokens(model=MODEL, messages=turns[:1]).input_tokens > 0


def media():
    made = oai.images.generate(model="team/pictures", prompt="A boat.", n=2)
    assert [picture.b64_json for picture in made.data] == ["AAAA", "AAAA"], made
    tell("pictures", 2, 0, 0)
    with oai.audio.speech.with_streaming_response.create(model="team/voice", voice="alloy", input="Ol\u00e1.", speed=1.25) as spoken:
        assert spoken.headers["content-type"] == "audio/mpeg", spoken.headers
        assert spoken.read() == b"\xff\xfb\x90 spoken"
    tell("speech", 4, 0, 0)
    heard = oai.audio.transcriptions.create(model="team/dictation", file=("a.wav", b"RIFF....WAVE"))
    assert heard.text == "Hello.", heard
    tell("transcription", 8, 0, 0)
    refused(openai.PermissionDeniedError, lambda: oai.images.generate(model="team/voice", prompt="A boat."), 403)


def listed():
    assert MODEL in [model.id for model in oai.models.list()]
    assert oai.models.retrieve(MODEL).id == MODEL
    assert MODEL in [model.id for model in ant.models.list()]
    assert ant.models.retrieve(MODEL).display_name == MODEL


def refused(kind, call, status):
    """The client's own exception, with what went wrong in it."""
    try:
        call()
    except kind as error:
        assert error.status_code == status, error
        return error
    raise AssertionError(f"{kind.__name__} was expected")


def errors():
    chat = {"model": MODEL, "messages": [{"role": "user", "content": "hello"}]}
    for client, kinds, ask in [
        (oai, openai, lambda client, **more: client.chat.completions.create(**{**chat, **more})),
        (oai, openai, lambda client, **more: client.responses.create(**{"model": MODEL, "input": "hello", **more})),
        (ant, anthropic, lambda client, **more: client.messages.create(**{**chat, "max_tokens": 10, **more})),
    ]:
        error = refused(kinds.AuthenticationError, lambda: ask(client.with_options(api_key="cl_live_000000000000_0123456789abcdef")), 401)
        assert error.request_id, "the call is named"
        refused(kinds.NotFoundError, lambda: ask(client, model="none"), 404)
        refused(kinds.BadRequestError, lambda: ask(client, tools=[{"type": "web_search", "name": "web_search"}]), 400)
        error = refused(kinds.RateLimitError, lambda: ask(client.with_options(api_key=SPENT, max_retries=2)), 429)
        assert "Your limit of 1 token a day is used up" in error.message, error.message
        assert int(error.response.headers["retry-after"]) > 60
    assert error.body["error"]["type"] == "rate_limit_error", error.body


for part in (chat, completions, embeddings, responses, messages, media, listed, errors):
    part()
