"""The addresses: pages, API, admin."""

from torngas_aio import Url, mount, route
from tracker.admin import make_admin

pages = Url("tracker.pages")
api = Url("tracker.api")

urls = route(
    pages(name="projects", pattern=r"/", handler="Projects"),
    pages(name="project", pattern=r"/projects/(\d+)", handler="Project"),
    pages(name="members", pattern=r"/projects/(\d+)/members", handler="Members"),
    pages(name="tasks", pattern=r"/projects/(\d+)/tasks", handler="TaskList"),
    pages(name="changes", pattern=r"/projects/(\d+)/changes", handler="Changes"),
    pages(name="task", pattern=r"/tasks/(\d+)", handler="OneTask"),
    pages(name="remove", pattern=r"/tasks/(\d+)/remove", handler="Remove"),
    pages(name="attach", pattern=r"/tasks/(\d+)/attachments", handler="Attach"),
    pages(name="download", pattern=r"/attachments/(\d+)", handler="Download"),
    api(name="api-projects", pattern=r"/api/projects", handler="Projects"),
    api(name="api-tasks", pattern=r"/api/projects/(\d+)/tasks", handler="Tasks"),
    api(name="api-task", pattern=r"/api/tasks/(\d+)", handler="OneTask"),
    api(name="api-attachments", pattern=r"/api/tasks/(\d+)/attachments", handler="Attachments"),
    mount("/admin", make_admin(), name="admin"),
)
