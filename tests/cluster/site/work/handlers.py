"""What enqueues jobs and publishes, and streams that are told."""

from torngas_aio import ApiHandler
from torngas_aio.channels import channels
from torngas_aio.handler import EventStreamHandler
from work.jobs import kinds


class Enqueue(ApiHandler):
    """Enqueues a batch of jobs; those with an outbox in the transaction of this request."""

    uses_session = False

    async def post(self) -> None:
        job, first = kinds[self.get_argument("kind")], int(self.get_argument("first"))
        for number in range(first, first + int(self.get_argument("count"))):
            await job.enqueue(number)
        self.write_api({"enqueued": True})


class Publish(ApiHandler):
    """Publishes a number, with a history and without one."""

    uses_session = False

    async def post(self) -> None:
        await channels[self.get_argument("alias")].publish("numbers", int(self.get_argument("number")))
        self.write_api({"published": True})


class Numbers(EventStreamHandler):
    uses_session = False
    channel_names = ("numbers",)


class PlainNumbers(Numbers):
    channels_alias = "plain"
