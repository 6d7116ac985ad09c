"""The client layer: the only code that knows OpenRouter's wire format.

client.py      one attempt at a completion, catalogue and account calls
attempt.py     its clock, and who is told of an answer as it comes
sse.py         bytes -> server-sent events
assembly.py    events or a body -> a Completion, or the failure inside a 200
parts.py       what a message says: text, reasoning, refusal, parts that are no text
tool_calls.py  tool calls from their fragments
routed.py      providers that failed before the answer
redaction.py   keys taken out of all that comes back; redacted_stream.py: out of a stream that is passed on
failures.py    the one table from a failure to its treatment
hints.py       how long the gateway asks to wait
retry.py       when to try again
pacing.py      how many calls a model takes at once
catalogue.py   model rows -> Model
gateways.py    the gateway and further endpoints, by model
pricing.py     prices, exact cost, provable bound
parameters.py  the parameters that can be set, and old names for them
transport.py   which transport lies under httpx; its errors as failure kinds
proxied.py     the transport where the environment names a proxy
connections.py the fast transport: HTTP/1.1 connections and nothing else
posting.py     how completions are posted, over that transport or any other
"""

from __future__ import annotations

import logging
import sys

# httpx looks for a command line of its own and takes rich, click and pygments with it, a third of its import; without
# one it goes on as where those are not installed.
sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]

# httpx writes a line per request with the server's own words in it, which may quote a key; ours is runs/dispatch.py's.
logging.getLogger("httpx").setLevel(logging.WARNING)
