"""Reads each message with the CloudEvents SDK, once as published in binary mode and once in structured mode.

A line of standard input is a JSON object with both, each with headers and body; the two must be one event. Prints how many.
"""

import json
import sys

from cloudevents.core.bindings import http

count = 0
for line in sys.stdin:
    pair = json.loads(line)
    events = []
    for mode in ("binary", "structured"):
        message = http.HTTPMessage(headers=pair[mode]["headers"], body=pair[mode]["body"].encode())
        # The NATS binding has the header rules of HTTP's; each event is checked against the specification here.
        event = (http.from_binary_event if mode == "binary" else http.from_structured_event)(message)
        attributes = event.get_attributes()
        # The SDK makes up a time where there is none.
        if "ce-time" not in pair["binary"]["headers"]:
            attributes.pop("time")
        events.append((attributes, event.get_data()))
    binary, structured = events
    assert binary == structured, f"binary:     {binary}\nstructured: {structured}"
    count += 1
print(count)
