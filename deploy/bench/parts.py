"""What a bench run starts: an nginx as upstream and as peer, LiteLLM as peer, and a ClawLoops of its own."""

import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.parse

ANSWER = json.dumps({
    "id": "chatcmpl-bench", "object": "chat.completion", "created": 1, "model": "bench",
    "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "word " * 32}}],
    "usage": {"prompt_tokens": 24, "completion_tokens": 32, "total_tokens": 56},
})
# What a runtime may use at most; the same by hand.
RUNTIME_MIB, RUNTIME_CPUS, RUNTIME_PIDS = 2048, 2, 512
EMAIL, PASSWORD = "bench@clawloops.example", "a-bench-password-of-its-own"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(port, path, seconds=90, host=None):
    """Waits until GET answers below 500."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            answer = ask("GET", port, path, host=host)
            if answer.status < 500:
                return
        except OSError:
            pass
        time.sleep(0.1)
    raise SystemExit(f"bench: nothing answers on port {port}{path} after {seconds} s")


class Answer:
    def __init__(self, response):
        self.status, self.headers, self.body = response.status, response.headers, response.read()


def docker(*words):
    return subprocess.run(["docker", *words], capture_output=True, text=True, check=True).stdout.strip()


def ask(method, port, path, body=None, headers=None, host=None, at="127.0.0.1", patience=60):
    connection = http.client.HTTPConnection(at, port, timeout=patience)
    try:
        connection.request(method, path, body, {"host": host or at, **(headers or {})})
        return Answer(connection.getresponse())
    finally:
        connection.close()


class Child:
    """A process of ours with its own group, stopped by SIGTERM and then by force."""

    def __init__(self, command, log, env=None, **how):
        self.log = log
        self.process = subprocess.Popen(
            command, stdout=open(log, "w"), stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
            env={**os.environ, **(env or {})}, start_new_session=True, **how)

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(30)
                return
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait(30)


def nginx(folder, upstream_port, peer_port, peer_target):
    """One nginx: the canned upstream, and `proxy_pass` in front of `peer_target`."""
    conf = os.path.join(folder, "nginx.conf")
    answer = ANSWER.replace("'", "")
    with open(conf, "w") as out:
        out.write(f"""
worker_processes 1; daemon off; pid {folder}/nginx.pid; error_log {folder}/nginx.err;
events {{ worker_connections 1024; }}
http {{
  access_log off; client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  keepalive_requests 10000000;
  map $http_upgrade $up {{ default upgrade; '' ''; }}
  upstream peer {{ server {peer_target}; keepalive 32; }}
  server {{ listen 127.0.0.1:{upstream_port}; default_type application/json;
    location /v1/chat/completions {{ return 200 '{answer}'; }}
    location / {{ return 200 '{{"status":"ok","data":[]}}'; }} }}
  server {{ listen 127.0.0.1:{peer_port};
    location / {{ proxy_pass http://peer; proxy_http_version 1.1; proxy_set_header Connection $up; proxy_set_header Upgrade $http_upgrade; }} }}
}}""")
    return Child([shutil.which("nginx") or "/usr/sbin/nginx", "-c", conf, "-p", folder], os.path.join(folder, "nginx.log"))


def litellm(folder, port, upstream_port):
    conf = os.path.join(folder, "litellm.yaml")
    with open(conf, "w") as out:
        json.dump({"model_list": [{"model_name": "bench", "litellm_params": {
            "model": "openai/bench", "api_base": f"http://127.0.0.1:{upstream_port}/v1", "api_key": "none"}}],
            "litellm_settings": {"num_retries": 0}, "general_settings": {"master_key": "sk-bench"}}, out)
    return Child([os.environ["CLAWLOOPS_LITELLM_BIN"], "--config", conf, "--host", "127.0.0.1", "--port", str(port)],
                 os.path.join(folder, "litellm.log"))


def portkey(folder, port):
    """The Portkey gateway, which is told with each call where to; none where it did not install."""
    command = os.environ.get("CLAWLOOPS_PORTKEY", "").split()
    return Child([*command, "--headless", f"--port={port}"], os.path.join(folder, "portkey.log")) if command else None


class ClawLoops:
    """A server with its own data directory, ports and instance name; signed in as its administrator. So many runtimes may boot and run at once."""

    def __init__(self, binary, folder, upstream_port, runtimes):
        self.port, self.host = free_port(), None
        self.data = os.path.join(folder, "data")
        self.host = f"clawloops.localhost:{self.port}"
        self.env = {
            "CLAWLOOPS_LISTEN": f"127.0.0.1:{self.port}", "CLAWLOOPS_PUBLIC_URL": f"http://{self.host}", "CLAWLOOPS_DATA_DIR": self.data,
            "CLAWLOOPS_INTERNAL_PORT": str(free_port()), "CLAWLOOPS_INSTANCE": f"bench-{os.getpid()}",
            "LITELLM_URL": f"http://127.0.0.1:{upstream_port}", "LITELLM_MASTER_KEY": "sk-bench", "RUST_LOG": "warn",
            # Containers by hand wait for no turn, so these do not either.
            "CLAWLOOPS_STARTS_AT_ONCE": str(runtimes), "CLAWLOOPS_RUNTIMES_PER_PERSON": str(runtimes),
            "CLAWLOOPS_RUNTIME_MEMORY_MIB": str(RUNTIME_MIB), "CLAWLOOPS_MEMORY_BUDGET_MIB": str(runtimes * RUNTIME_MIB),
            "CLAWLOOPS_RUNTIME_CPU_MILLIS": str(RUNTIME_CPUS * 1000), "CLAWLOOPS_RUNTIME_PIDS": str(RUNTIME_PIDS),
        }
        self.instance = self.env["CLAWLOOPS_INSTANCE"]
        self.binary = binary
        self.child = Child([binary, "serve"], os.path.join(folder, "clawloops.log"), self.env)

    def begin(self):
        """Waits until it answers, and signs in."""
        wait_for(self.port, "/healthz", host=self.host)
        subprocess.run([self.binary, "admin", "create", "--email", EMAIL, "--password-stdin"], input=PASSWORD, text=True, check=True,
                       env={**os.environ, **self.env}, stdout=subprocess.DEVNULL)
        answer = self.call("sign-in", email=EMAIL, password=PASSWORD)
        self.cookie = answer.headers["set-cookie"].split(";")[0]

    def call(self, name, /, **fields):
        """A server function; its JSON answer, or its whole answer when it signs in."""
        headers = {"content-type": "application/x-www-form-urlencoded", "origin": f"http://{self.host}", "accept": "application/json"}
        if hasattr(self, "cookie"):
            headers["cookie"] = self.cookie
        answer = ask("POST", self.port, f"/api/ui/{name}", urllib.parse.urlencode(fields), headers, self.host)
        if answer.status >= 400:
            raise SystemExit(f"bench: {name} answered {answer.status}: {answer.body[:300]!r}")
        return json.loads(answer.body or b"null") if hasattr(self, "cookie") else answer

    def memory_kib(self):
        with open(f"/proc/{self.child.process.pid}/status") as status:
            return int(re.search(r"VmRSS:\s+(\d+)", status.read())[1])

    def held(self):
        """What the engine has of this instance: containers, volumes, networks, each with the command that removes it."""
        mine = ["-q", "--filter", f"label=org.clawloops.instance={self.instance}"]
        return ([["rm", "-f", "-v", found] for found in docker("ps", "-a", *mine).split()]
                + [["volume", "rm", "-f", found] for found in docker("volume", "ls", *mine).split()]
                + [["network", "rm", found] for found in docker("network", "ls", *mine).split()])

    def delete_all(self):
        for runtime in self.call("my-runtimes"):
            self.call("delete-runtime", runtime_id=runtime["runtime_id"], retention="wipe_workspace")
        self.wait_for_none()

    def wait_for_none(self, seconds=120):
        end = time.monotonic() + seconds
        while self.held() and time.monotonic() < end:
            time.sleep(0.1)

    def stop(self):
        """Ends the server with nothing left of it, however the run ended."""
        try:
            if self.child.process.poll() is None and hasattr(self, "cookie"):
                self.delete_all()
        except (OSError, SystemExit, ValueError) as problem:
            print(f"bench: {problem}", file=sys.stderr)
        # Without runtimes the server takes its firewall rules with it.
        self.child.stop()
        for words in self.held():
            subprocess.run(["docker", *words], capture_output=True)
