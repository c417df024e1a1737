"""Greetings for programs: `/api/greetings/bob`, `?format=jsonp&callback=greet`."""

from torngas_aio.exception import Http404
from torngas_aio.handler import ApiHandler

GREETINGS = {"en": "Hello", "zh": "你好", "de": "Guten Tag"}


class Greetings(ApiHandler):
    async def get(self, name: str) -> None:
        language = self.get_argument("language", "en")
        if language not in GREETINGS:
            raise Http404("No greeting in %s", language)
        self.write_api({"greeting": f"{GREETINGS[language]}, {name}!", "languages": sorted(GREETINGS)})
