"""Serves the blog: `python runserver.py --port=8000`. The tables are brought up to date first."""

import os

from torngas_aio.webserver import run

if __name__ == "__main__":
    os.environ.setdefault("TORNGAS_APP_SETTINGS", "settings.setting")
    run()
