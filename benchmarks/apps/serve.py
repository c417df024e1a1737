"""Start one application on one server: `python -m benchmarks.apps.serve starlette-uvicorn PORT VARIANT`.

Begin with `main`.
"""

import importlib
import logging
import os
import sys
from typing import Any

from benchmarks.apps.common import FILES, Variant

ASGI_SERVERS = ("uvicorn", "granian")
VARIANT, FRAMEWORK = "TORNGAS_BENCH_VARIANT", "TORNGAS_BENCH_FRAMEWORK"


def main() -> None:
    name, port, variant = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    logging.basicConfig(level=logging.INFO if Variant(variant).logs_access else logging.ERROR)
    framework, _, server = name.partition("-")
    if server in ASGI_SERVERS:
        os.environ[VARIANT], os.environ[FRAMEWORK] = variant, framework
        {"uvicorn": serve_uvicorn, "granian": serve_granian}[server](port, Variant(variant))
    else:
        importlib.import_module(f"benchmarks.apps.{framework}_app").serve(Variant(variant), port, server)


def made() -> Any:
    """The ASGI application that the environment names; granian calls it in its worker."""
    module = importlib.import_module(f"benchmarks.apps.{os.environ[FRAMEWORK]}_app")
    return module.make(Variant(os.environ[VARIANT]))


def serve_uvicorn(port: int, variant: Variant) -> None:
    import uvicorn

    # uvloop and httptools: https://www.uvicorn.org/settings/ (the server and date headers stay, as ours)
    uvicorn.run(
        made(),
        port=port,
        loop="uvloop",
        http="httptools",
        access_log=variant.logs_access,
        log_level="info" if variant.logs_access else "error",
        lifespan="on",
        ssl_certfile=FILES / "cert.pem" if variant.is_tls else None,
        ssl_keyfile=FILES / "key.pem" if variant.is_tls else None,
    )


def serve_granian(port: int, variant: Variant) -> None:
    from granian import Granian
    from granian.constants import HTTPModes, Interfaces, Loops

    Granian(
        "benchmarks.apps.serve:made",
        factory=True,
        port=port,
        interface=Interfaces.ASGI,
        loop=Loops.uvloop,
        http=HTTPModes.http1,
        log_enabled=variant.logs_access,
        log_access=variant.logs_access,
        backlog=2048,
        ssl_cert=FILES / "cert.pem" if variant.is_tls else None,
        ssl_key=FILES / "key.pem" if variant.is_tls else None,
    ).serve()


if __name__ == "__main__":
    main()
