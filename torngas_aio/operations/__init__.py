"""Monitoring of a running process: health checks, metrics, traces, and the inspector.

health.py      ReadyChecks: caches, databases, channels and own checks, bounded and cached
handlers.py    /-/live, /-/ready, /-/startup
access.py      which clients may see details
observing.py   observers: how metrics, traces, `Server-Timing` and the inspector see requests and their stages
counts.py      the counters of one process
metrics.py     the metrics page; it and project_metrics import prometheus-client
project_metrics.py  the project's own metrics, in one process and in workers
tracing.py     spans of requests; the only module that imports OpenTelemetry
calls.py       notifies listeners of cache and database calls
inspector/     details of the last requests, while DEBUG is on
routes.py      the pipeline of a route: for the inspector and the command line
observed.py    applications and handlers that notify observers
"""
