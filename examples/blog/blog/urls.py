"""The blog's pages, and those of its authors under /admin."""

from torngas_aio import Url, include, route

pages = Url("blog.handlers.pages")
doors = Url("blog.handlers.doors")
desk = Url("blog.handlers.desk")

admin = route(
    desk(name="Desk", pattern=r"/?", handler="Desk"),
    desk(name="New", pattern=r"/new", handler="Write"),
    desk(name="Edit", pattern=r"/(\d+)", handler="Write"),
    desk(name="Delete", pattern=r"/(\d+)/delete", handler="Delete"),
)

urls = route(
    pages(name="Front", pattern=r"/", handler="Front"),
    pages(name="Post", pattern=r"/post/(\d+)", handler="Read"),
    doors(name="Login", pattern=r"/login", handler="Login"),
    doors(name="Logout", pattern=r"/logout", handler="Logout"),
    include("/admin", admin, prefix_name="Admin"),
)
