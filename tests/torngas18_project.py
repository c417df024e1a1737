"""The 1.8 document's snippets that are files, put together to one project: settings, server, apps, URLs, modules, log.

Begin with `make_project`; `PATHS` says what its addresses answer.
"""

from pathlib import Path

from tests.webserver.project import SECRET, Project

__all__ = ["PATHS", "RUN", "SETTING", "STEPS", "SUBCLASS", "make_project"]

SETTING = f"""
PROJECT_PATH = '/the/project'
TORNADO_CONF = {{'cookie_secret': {SECRET!r}}}

INSTALLED_APPS = (
    'myapp1',
    'myapp2',
)

TEMPLATE_CONFIG = {{
    'template_engine': 'torngas_aio.template.mako_loader.MakoTemplateLoader',
    'filesystem_checks': True,
    'cache_directory': 'tmpl_cache',
    'collection_size': 50,
    'cache_size': 0,
    'format_exceptions': False,
    'autoescape': False
}}

MIDDLEWARE_CLASSES = (
    'torngas_aio.middleware.accesslog.AccessLogMiddleware',
    'torngas_aio.middleware.session.SessionMiddleware',
    'torngas_aio.httpmodule.httpmodule.HttpModuleMiddleware',
)

SESSION = {{
    'session_cache_alias': 'default',
    'session_name': '__TORNADOSSID',
    'cookie_domain': '',
    'cookie_path': '/',
    'expires': 0,
    'ignore_change_ip': False,
    'httponly': True,
    'secure': False,
    'secret_key': {SECRET[::-1]!r},
    'session_version': 'EtdHjDO1'
}}

COMMON_MODULES = (
    'httpmodule.auth.AuthModule',
    'httpmodule.ipauth.ipblack',
)

ROUTE_MODULES = {{
    '^/user/.*$': ['httpmodule.loginmodule', '!httpmodule.ipauth.ipblack'],
    'Index': ['!httpmodule.auth.AuthModule'],
    '^/blog/.*$': ['httpmodule.loginmodule', '!all'],
}}

LOGGING_DIR = 'from_settings/'
LOGGING = (
    {{
        'name': 'tornado',
        'level': 'INFO',
        'log_to_stderr': True,
        'when': 'midnight',
        'interval': 1,
        'filename': 'tornado.log'
    }},
    {{
        'name': 'torngas_aio.tracelog',
        'level': 'ERROR',
        'when': 'midnight',
        'filename': 'trace.log'
    }},
)
"""

URLS_1 = """
from torngas_aio import Url, route

u = Url('myapp1.handlers', abc='abc')
urls = route(
    u(name='Index', pattern=r'/?', handler='main_handler.Main'),
    u(name='Login', pattern=r'/login/?', handler='main_handler.Login'),
    u(name='User', pattern=r'/user/?', handler='main_handler.User', kwargs={'abc': 'other'}),
)
"""

MAIN_HANDLER = """
from torngas_aio.handler import WebHandler
from torngas_aio.logger import syslogger
from torngas_aio import settings

project_path = settings.PROJECT_PATH

class Main(WebHandler):
    async def get(self):
        await self.finish(self._url_kwargs['abc'])

class Login(WebHandler):
    async def get(self):
        syslogger.error("this is a error.")
        await self.finish(project_path + self.reverse_url('Index'))

class User(Main):
    pass
"""

GROUPED = {
    "myapp1/url_photo.py": """
from torngas_aio import Url, route

url = Url('myapp1.handlers')
URLS = route(
    url(r'photo/upload/?', 'photo.UploadHandler'),
)
""",
    "myapp1/url_blog.py": r"""
from torngas_aio import Url, route

url = Url('myapp1.handlers')
URLS = route(
    url(r'blog/list/\d*/?', 'blog.ListHandler'),
)
""",
    "myapp2/urls.py": """
from torngas_aio import Url, include, route
from myapp1.url_blog import URLS as blog_urls
from myapp1.handlers.main_handler import Main

url = Url('myapp1.handlers')
URLS = route(
    include('/', 'myapp1.url_photo.URLS'),
    include('/', blog_urls),
    url(r'/user/me/?', 'user.MeHandler'),
    Url(abc='a class')(name='Direct', pattern=r'/direct/?', handler=Main),
)
""",
}

SAYS = """
from torngas_aio.handler import WebHandler

class {0}(WebHandler):
    async def get(self):
        await self.finish({0!r})
"""

MODULE = """
from torngas_aio.httpmodule import BaseHttpModule

class {0}(BaseHttpModule):
    async def begin_request(self, handler, clear):
        handler.add_header('X-Module', {0!r})
"""

RUN = """
import os
os.environ.setdefault('TORNGAS_APP_SETTINGS', 'settings.setting')

from torngas_aio.webserver import run
run()
"""

STEPS = """
import os
os.environ.setdefault('TORNGAS_APP_SETTINGS', 'settings.setting')

from torngas_aio.webserver import Server
from tornado.options import define, options
define("your_arg", default='default', help='your command args', type=str)

serv = Server()
serv.parse_command()
serv.load_urls()
serv.load_application(application=None)
serv.application.settings['your_arg'] = options.your_arg
serv.server_start(sockets=None, no_keep_alive=True, backlog=512)
"""

SUBCLASS = """
import os
os.environ.setdefault('TORNGAS_APP_SETTINGS', 'settings.setting')

from torngas_aio.application import Application
from torngas_aio.webserver import Server

class MyApp(Application):
    def log_request(self, handler):
        handler.application.seen = handler.request.path

serv = Server()
serv.load_all(application=MyApp, no_keep_alive=True, backlog=512)
assert type(serv.application) is MyApp
serv.start()
"""

PATHS = {
    "/": ("abc", "ipblack"),
    "/user/": ("other", "AuthModule, loginmodule"),
    "/photo/upload": ("UploadHandler", "AuthModule, ipblack"),
    "/blog/list/7": ("ListHandler", "loginmodule"),
    "/user/me": ("MeHandler", "AuthModule, loginmodule"),
    "/direct": ("a class", "AuthModule, ipblack"),
}
"""Path: what is answered, and which modules ran, in their order."""


def make_project(folder: Path) -> Project:
    """Write the project into *folder*."""
    made = Project(folder)
    made.write("settings/__init__.py", "")
    made.write("settings/setting.py", SETTING)
    made.write("myapp1/__init__.py", "")
    made.write("myapp1/urls.py", URLS_1)
    made.write("myapp1/handlers/__init__.py", "")
    made.write("myapp1/handlers/main_handler.py", MAIN_HANDLER)
    made.write("myapp2/__init__.py", "")
    for name, text in GROUPED.items():
        made.write(name, text)
    for name, module in (("UploadHandler", "photo"), ("ListHandler", "blog"), ("MeHandler", "user")):
        made.write(f"myapp1/handlers/{module}.py", SAYS.format(name))
    made.write("httpmodule/__init__.py", MODULE.format("loginmodule"))
    made.write("httpmodule/auth.py", MODULE.format("AuthModule"))
    made.write("httpmodule/ipauth.py", MODULE.format("ipblack"))
    return made
