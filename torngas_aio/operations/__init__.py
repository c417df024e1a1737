"""What an operator asks a running process: whether it lives, and whether it is ready.

health.py      ReadyChecks: caches, databases, channels and own checks, bounded and cached
handlers.py    /-/live, /-/ready, /-/startup
access.py      who may see details
observing.py   observers: how metrics, traces, `Server-Timing` and the inspector see requests and their stages
counts.py      what a process counts
metrics.py     the metrics page; it and project_metrics import prometheus-client
project_metrics.py  the project's own metrics, in one process and in workers
tracing.py     spans of requests; the only module that imports OpenTelemetry
calls.py       calls of caches and databases
inspector/     what the last requests did, while DEBUG is on
routes.py      what an application does for a route: for the inspector and the command line
observed.py    applications and handlers that tell observers
"""
