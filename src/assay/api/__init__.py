"""The HTTP service: a thin face of `workbench`, off unless a token is set.

service.py    the application: token check, routes, errors
payloads.py   what comes in and goes out, as JSON
relay.py      a stream passed on as it comes
"""
