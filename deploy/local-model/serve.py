"""Serves the local model with llama.cpp's own OpenAI-compatible server.

    serve.py --model FILE.gguf --host 127.0.0.1 --port 18090
"""

import argparse
import signal
import threading

import xllamacpp

CONTEXT = 65_536
SLOTS = 4
# An answer ends by itself after some 50 tokens; this ends one that must not.
LONGEST_ANSWER = 2_048


def parameters(model: str, host: str, port: int) -> xllamacpp.CommonParams:
    params = xllamacpp.CommonParams()
    params.model.path = model
    params.model_alias = {"local"}
    params.hostnames = [host]
    params.port = port
    params.n_ctx = SLOTS * CONTEXT
    params.n_predict = LONGEST_ANSWER
    params.n_parallel = SLOTS
    # The model never calls a tool, so what it says is text even where tools are offered.
    params.use_jinja = True
    params.force_pure_content_parser = True
    # One thread answers fast enough; reading a long prompt takes two.
    params.cpuparams.n_threads = 1
    params.cpuparams_batch.n_threads = 2
    params.cache_ram_mib = 0
    params.warmup = False
    params.ui = False
    return params


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", required=True)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    given = parser.parse_args()

    # Told to stop before or after the model is loaded, the process ends in order.
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    server = xllamacpp.Server(parameters(given.model, given.host, given.port))
    print(f"local model listening on {server.listening_address}", flush=True)
    stop.wait()


if __name__ == "__main__":
    main()
