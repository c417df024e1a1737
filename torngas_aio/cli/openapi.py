"""`torngas-aio openapi`: the OpenAPI document of the project."""

import argparse
import json
from pathlib import Path

from torngas_aio.cli.project import add_settings_option, load_project
from torngas_aio.settings_manager import settings

__all__ = ["OpenAPI"]


class OpenAPI:
    """Write the OpenAPI 3.1 document of the project's routes; `title` and `version` are those of OPENAPI."""

    help = "write the OpenAPI document"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        add_settings_option(parser)
        parser.add_argument("--output", "-o", metavar="FILE", type=Path, help="write to FILE in place of stdout")

    def run(self, arguments: argparse.Namespace) -> int:
        """Write it."""
        application = load_project(arguments.settings)
        from torngas_aio.api.openapi import make_document  # msgspec is an extra

        texts = {key: settings.OPENAPI[key] for key in ("title", "version", "description") if key in settings.OPENAPI}
        text = json.dumps(make_document(application, **texts), indent=2, ensure_ascii=False) + "\n"
        if arguments.output is None:
            print(text, end="")
        else:
            arguments.output.write_text(text, encoding="utf-8")
        return 0
