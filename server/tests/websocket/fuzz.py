"""Plays cases of the Autobahn test suite against servers that echo, and says how each server did.

    fuzz.py <plan >outcome

The plan is JSON: `cases` (patterns such as `1.*`), `without` (the same), `at_once`, `seconds` that all of it may take, and `servers`: for each name `port`, `url` and `headers`. The outcome
is JSON: for each case and server what the suite says of it (`behavior`, `close`), and what was seen (`code`, `reason`, `clean`, who closed, and a digest of
what was received). The suite's own client plays one case after the other; most of them wait, so here many are played at once.
"""

import fnmatch
import hashlib
import json
import sys

import txaio

txaio.use_twisted()

from autobahn.twisted.websocket import WebSocketClientFactory, WebSocketClientProtocol
from autobahn.websocket.protocol import WebSocketProtocol
from autobahntestsuite.case import Cases
from twisted.internet import reactor

# How long the other side may take to answer a close, and to hang up, in seconds.
PATIENCE = 20


def name_of(case):
    return case.__name__.removeprefix("Case").replace("_", ".")


def octets(text):
    return text.encode("latin-1") if isinstance(text, str) else text


class Player(WebSocketClientProtocol):
    """What a case asks of its client. The methods of the suite's `FuzzingProtocol`, without its log of the wire."""

    createWirelog = False
    connectionWasOpen = False

    def __init__(self, case):
        super().__init__()
        self.case = case
        self.txFrameStats = {}

    # Python 2's text is bytes; cases that compress hand over bytes themselves.
    def sendFrame(self, opcode, payload=b"", fin=True, rsv=0, mask=None, payload_len=None, chopsize=None, sync=False):
        payload = octets(payload)
        if payload_len is not None:
            payload = (payload * (payload_len // len(payload) + 1))[:payload_len]
        super().sendFrame(opcode, payload, fin, rsv, mask, None, chopsize, sync)

    def sendMessage(self, payload, *rest, **named):
        super().sendMessage(octets(payload), *rest, **named)

    def sendMessageFrameData(self, payload, *rest, **named):
        return super().sendMessageFrameData(octets(payload), *rest, **named)

    def sendCloseFrame(self, code=None, reasonUtf8=None, isReply=False):
        super().sendCloseFrame(code, octets(reasonUtf8), isReply)

    def onMessage(self, payload, isBinary):
        self.run.onMessage(payload if self.case.startswith(("12.", "13.")) else payload.decode("latin-1"), isBinary)

    def onPong(self, payload):
        self.run.onPong(payload.decode("latin-1"))

    def onOpen(self):
        self.connectionWasOpen = True
        self.run.onOpen()

    def onClose(self, wasClean, code, reason):
        self.run.onClose(wasClean, code, reason)

    def logTxFrame(self, frameHeader, *rest):
        self.txFrameStats[frameHeader.opcode] = self.txFrameStats.get(frameHeader.opcode, 0) + 1

    def logRxFrame(self, *rest):
        pass

    def enableWirelog(self, enable):
        pass

    def later(self, delay, deed):
        reactor.callLater(delay, lambda: self.state != WebSocketProtocol.STATE_CLOSED and deed())

    def continueLater(self, delay, fun, tag=None):
        self.later(delay, fun)

    def killAfter(self, delay):
        self.later(delay, self.failConnection)

    def closeAfter(self, delay):
        self.later(delay, self.sendClose)

    def connectionLost(self, reason):
        super().connectionLost(reason)
        try:
            self.run.onConnectionLost(self.failedByMe)
        except Exception as error:
            self.factory.done({"failed": repr(error)})
            raise
        received = json.dumps(self.run.received).encode()
        self.factory.done(
            {
                "behavior": self.run.behavior,
                "close": self.run.behaviorClose,
                "code": self.remoteCloseCode,
                "reason": self.remoteCloseReason,
                "clean": self.wasClean,
                "closed_by_client": self.closedByMe,
                "failed_by_client": self.failedByMe,
                "dropped_by_client": self.droppedByMe,
                "received": f"{len(self.run.received)}:{hashlib.sha256(received).hexdigest()[:16]}",
            }
        )


class Play(WebSocketClientFactory):
    """One case against one server."""

    def __init__(self, case, server, done):
        super().__init__(server["url"], origin=server.get("origin"), headers=server.get("headers", {}))
        self.logFrames = True
        # As the suite does: a connection is failed by a close frame and not by a hang-up. Unlike it, the end is waited for on a busy machine too.
        self.setProtocolOptions(failByDrop=False, closeHandshakeTimeout=PATIENCE, serverConnectionDropTimeout=PATIENCE)
        self.case, self.done = case, done

    def buildProtocol(self, addr):
        player = Player(name_of(self.case))
        player.factory = self
        player.run = self.case(player)
        return player

    def clientConnectionFailed(self, connector, reason):
        self.done({"failed": reason.getErrorMessage()})


def main():
    plan = json.load(sys.stdin)
    fits = lambda name, patterns: any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)
    chosen = [case for case in Cases if fits(name_of(case), plan["cases"]) and not fits(name_of(case), plan.get("without", []))]
    waiting = [(case, name) for case in chosen for name in plan["servers"]]
    waiting.reverse()
    outcome = {name_of(case): {} for case in chosen}
    playing, over = set(), []

    def next_one():
        while waiting and len(playing) < plan["at_once"]:
            case, name = waiting.pop()
            play = (name_of(case), name)
            playing.add(play)

            def done(result, play=play):
                outcome[play[0]][play[1]] = result
                playing.discard(play)
                reactor.callLater(0, next_one)

            server = plan["servers"][name]
            reactor.connectTCP("127.0.0.1", server["port"], Play(case, server, done))
        if not waiting and not playing and not over:
            over.append(True)
            reactor.stop()

    reactor.callWhenRunning(next_one)
    reactor.callLater(plan["seconds"], reactor.stop)
    reactor.run()
    if waiting or playing:
        raise SystemExit(f"not over after {plan['seconds']} s: {sorted(playing)}")
    json.dump(outcome, sys.stdout)


if __name__ == "__main__":
    main()
