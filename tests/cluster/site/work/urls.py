"""The addresses of jobs and messages."""

from torngas_aio import Url, route

work = Url("work.handlers")

urls = route(
    work(name="Enqueue", pattern=r"/enqueue", handler="Enqueue"),
    work(name="Publish", pattern=r"/publish", handler="Publish"),
    work(name="Numbers", pattern=r"/numbers", handler="Numbers"),
    work(name="PlainNumbers", pattern=r"/numbers/plain", handler="PlainNumbers"),
)
