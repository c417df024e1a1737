"""Serve the project: `python runserver.py --help` lists the options."""

import os

from tornado.options import define

from torngas_aio import run

os.environ.setdefault("TORNGAS_APP_SETTINGS", "settings.setting")

# Only this machine can connect unless --address says otherwise: development shows source and settings on errors.
define("address", default="127.0.0.1", type=str, help="address to listen on")

if __name__ == "__main__":
    run()
