"""Serve the laboratory's site."""

from torngas_aio.webserver import run

if __name__ == "__main__":
    run()
