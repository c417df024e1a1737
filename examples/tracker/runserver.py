"""Serve the tracker: `python runserver.py --port=8000`."""

import os

from tornado.options import define

from torngas_aio import run

os.environ.setdefault("TORNGAS_APP_SETTINGS", "settings")

define("address", default="127.0.0.1", type=str, help="address to listen on")

if __name__ == "__main__":
    run()
