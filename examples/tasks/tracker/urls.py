"""The addresses of the example."""

from torngas_aio import Url, route

url = Url("tracker")

urls = route(
    url(name="front", pattern=r"/", handler="pages.Front"),
    url(name="tasks", pattern=r"/api/tasks", handler="api.Tasks"),
    url(name="task", pattern=r"/api/tasks/(\d+)", handler="api.OneTask"),
    url(name="attachment", pattern=r"/api/tasks/(\d+)/attachment", handler="api.Attachment"),
)
