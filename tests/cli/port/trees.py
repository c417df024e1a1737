"""Projects in the style of the torngas 1.8 document, before they are ported. Begin with `TREES`."""

from tests.webserver.project import SECRET

__all__ = ["TREES", "Tree"]

Tree = dict[str, str]

RUN = """
import os
os.environ.setdefault('TORNGAS_APP_SETTINGS', 'settings.setting')
from torngas.webserver import run

if __name__ == '__main__':
    run()
"""
SETTING = f"""
DEBUG = True
TORNADO_CONF = {{'cookie_secret': {SECRET!r}, 'xsrf_cookies': False}}
SESSION = {{'session_cache_alias': 'default', 'secret_key': {SECRET[::-1]!r}}}
INSTALLED_APPS = ('%s',)
MIDDLEWARE_CLASSES = (
    'torngas.middleware.accesslog.AccessLogMiddleware',
    'torngas.middleware.session.SessionMiddleware',
%s)
CACHES = {{'default': {{'BACKEND': 'torngas.cache.backends.localcache.LocMemCache', 'LOCATION': 'torngas.log'}}}}
LOGGING_DIR = 'logs/'
TEMPLATE_CONFIG = {{'template_engine': None, 'cache_directory': None}}
"""
DATABASE = """
DATABASE_CONNECTION = {'default': {'connections': [{
    'ROLE': 'master', 'DRIVER': 'sqlite+aiosqlite', 'DATABASE': 'blog.db', 'HOST': '', 'UID': '', 'PASSWD': '',
}]}}
"""

BLOG: Tree = {
    "runserver.py": RUN,
    "settings/__init__.py": "",
    "settings/setting.py": SETTING % ("blog", "    'torngas.middleware.dbalchemy.DBAlchemyMiddleware',\n") + DATABASE,
    "blog/__init__.py": "",
    "blog/models.py": """
# coding: utf-8
from torngas.db.dbalchemy import Model
from sqlalchemy import *


class Base(Model):
    __abstract__ = True
    __connection_name__ = 'default'

    id = Column('id', Integer, primary_key=True)


class Post(Base):
    __tablename__ = 'posts'

    title = Column(String(80), nullable=False)
    body = Column(String(800), default='')

    @classmethod
    def newest(cls, count):
        return cls.Q.order_by('id desc').limit(count).all()

    @classmethod
    def by_id(cls, ident):
        return cls.Q.filter("id = %d" % int(ident)).first()

    def save(self):
        session = Post.session.using_master()
        session.add(self)
        session.commit()
""",
    "blog/urls.py": """
from torngas import Url, route

u = Url('blog.handlers')
urls = route(
    u(name='Index', pattern=r'/?', handler='public.Index'),
    u(name='Post', pattern=r'/post/(\\d+)/?', handler='public.ShowPost'),
    u(name='Admin', pattern=r'/admin/?', handler='admin.Dashboard'),
    u(name='Write', pattern=r'/admin/write/?', handler='admin.Write'),
    u(name='Remove', pattern=r'/admin/remove/(\\d+)/?', handler='admin.Remove'),
)
""",
    "blog/handlers/__init__.py": "",
    "blog/handlers/base.py": """
from torngas.cache import caches
from torngas.handler import WebHandler

cache = caches['default']


class Base(WebHandler):
    def visits(self):
        seen = cache.get('visits') or 0
        cache.set('visits', seen + 1, 60)
        return seen + 1

    def is_known(self, key):
        return cache.has_key(key)
""",
    "blog/handlers/public.py": """
from base import Base
from blog.models import Post


class Index(Base):
    def get(self):
        count = self.visits()
        print "visit %d" % count
        titles = [post.title for post in Post.newest(5)]
        self.finish(u'%s: %s' % (count, ', '.join(titles)))


class ShowPost(Base):
    def get(self, ident):
        try:
            post = Post.by_id(ident)
            title = post.title
        except AttributeError, e:
            self.set_status(404)
            return self.finish(unicode(e)[:0] + 'no post')
        self.finish(title)
""",
    "blog/handlers/admin.py": """
from base import Base
from blog.models import Post
from torngas.db.dbalchemy import Connector


def create_tables():
    Connector.get_conn('default').create_db()


class Dashboard(Base):
    def prepare(self):
        super(Dashboard, self).prepare()
        self.shown = {'posts': 0}

    def get(self):
        create_tables()
        self.shown['posts'] = Post.Q.count()
        for key, value in self.shown.iteritems():
            self.write('%s=%d' % (key, value))
        if not self.is_known('visits'):
            self.write(' unseen')
        self.finish()


class Write(Base):
    def get(self):
        post = Post(title=self.get_argument('title', 'hello'))
        post.save()
        self.session['last'] = post.title
        self.finish('saved')


class Remove(Base):
    def get(self, ident):
        session = Post.session.using_master()
        session.query(Post).filter(Post.id == ident).delete()
        session.commit()
        self.finish('removed')
""",
}

SITE: Tree = {
    "runserver.py": RUN,
    "settings/__init__.py": "",
    "settings/setting.py": SETTING % ("news", "")
    + """
CACHES['redis'] = {'BACKEND': 'torngas.cache.backends.rediscache.RedisCache', 'LOCATION': '127.0.0.1:REDIS_PORT',
                   'OPTIONS': {'DB': 0}}
""",
    "news/__init__.py": "",
    "news/store.py": """
from torngas.cache import caches


class Headlines(object):
    key = 'headlines'

    def __init__(self, size=10):
        self.redis = caches['redis'].client
        self.size = size

    def push(self, text):
        pipe = self.redis.pipeline()
        pipe.lpush(self.key, text)
        pipe.ltrim(self.key, 0, self.size - 1)
        pipe.execute()

    def latest(self):
        return self.redis.lrange(self.key, 0, -1)


def push_headline(text):
    Headlines().push(text)
""",
    "news/urls.py": """
from torngas import Url, route
from news.handlers import Latest, Push

u = Url()
urls = route(
    u(name='Latest', pattern=r'/?', handler=Latest),
    u(name='Push', pattern=r'/push/?', handler=Push),
)
""",
    "news/handlers.py": """
from tornado import gen
from torngas.handler import ApiHandler, WebHandler
from torngas.decorators.async_execute import async_execute
from news.store import Headlines, push_headline


class Latest(WebHandler):
    def get(self):
        self.finish(', '.join(text.decode('utf-8') for text in Headlines().latest()))


class Push(WebHandler):
    @gen.coroutine
    def get(self):
        text = yield self.clean(self.get_argument('text', 'news'))
        yield gen.sleep(0)
        push_headline(text)
        stored = yield self.stored()
        self.finish(stored)

    @gen.coroutine
    def stored(self):
        raise gen.Return('pushed %d' % len(Headlines().latest()))

    @async_execute
    def clean(self, text):
        return text.strip()
""",
    "cron/report.py": """
import os
import sys
sys.path.insert(0, os.getcwd())
os.environ.setdefault('TORNGAS_APP_SETTINGS', 'settings.setting')
from news.store import Headlines, push_headline


def report():
    push_headline('from cron')
    for text in Headlines().latest():
        print(text.decode('utf-8'))


if __name__ == '__main__':
    report()
""",
}

GAME: Tree = {
    "runserver.py": RUN,
    "settings/__init__.py": "",
    "settings/setting.py": (
        SETTING % ("game", "    'middlewares.TimeviewMiddleware',\n    'middlewares.OnlineMiddleware',\n")
    )
    + "COMMON_MODULES = ('modules.Guard',)\n"
    + "MIDDLEWARE_CLASSES += ('torngas.httpmodule.httpmodule.HttpModuleMiddleware',)\n",
    "middlewares.py": """
import time
from torngas.cache import caches


class TimeviewMiddleware(object):
    def process_init(self, application):
        self.count = 0

    def process_request(self, handler, clear):
        self.started = time.time()

    def process_response(self, handler, clear, chunk):
        handler.set_header('X-Seconds', '%.3f' % (time.time() - self.started))


class OnlineMiddleware(object):
    def process_request(self, handler, clear):
        name = handler.get_argument('player', None)
        if name and name not in caches['default']:
            caches['default'].set(name, 1)
            players = caches['default'].get('players', [])
            caches['default'].set('players', players + [name])
""",
    "modules.py": """
from torngas.httpmodule import BaseHttpModule


class Guard(BaseHttpModule):
    def begin_request(self, handler, clear):
        if handler.get_argument('banned', None):
            handler.set_status(403)
            handler.finish('banned')
            return 1
""",
    "game/__init__.py": "",
    "game/world.py": """
from torngas.cache import caches
from torngas.dispatch import Signal

moved = Signal(providing_args=['player'])


class Player(object):
    def __init__(self, name):
        self.name = name

    def place(self):
        return caches['default'].get('place:' + self.name, 0)

    def walk(self, steps):
        caches['default'].set('place:' + self.name, self.place() + steps)
        moved.send(sender=self.__class__, player=self.name)


def on_move(**kwargs):
    caches['default'].incr('moves') if caches['default'].has_key('moves') else caches['default'].set('moves', 1)


moved.connect(on_move)
""",
    "game/urls.py": """
from torngas import Url, route

u = Url('game.handlers')
urls = route(
    u(name='Players', pattern=r'/?', handler='Players'),
    u(name='Walk', pattern=r'/walk/?', handler='Walk'),
    u(name='Moves', pattern=r'/moves/?', handler='Moves'),
)
""",
    "game/handlers.py": """
from torngas.cache import caches
from torngas.handler import WebHandler
from game.world import Player


class Players(WebHandler):
    def get(self):
        self.finish(','.join(caches['default'].get('players') or ['none']))


class Walk(WebHandler):
    def get(self):
        player = Player(self.get_argument('player'))
        player.walk(int(self.get_argument('steps', 1)))
        self.finish('%s at %d' % (player.name, player.place()))


class Moves(WebHandler):
    def get(self):
        self.finish(str(caches['default'].get('moves') or 0))
""",
}

TORNADO: Tree = {
    "runserver.py": """
import tornado.httpserver
import tornado.ioloop
import tornado.web
from tornado import gen
from tornado.options import define, options, parse_command_line

define('port', default=8000, type=int)
define('address', default='127.0.0.1')


class Main(tornado.web.RequestHandler):
    @tornado.web.asynchronous
    @gen.coroutine
    def get(self):
        a, b = yield [self.value(1), self.value(2)]
        self.write(str(a + b))
        self.finish()

    @gen.coroutine
    def value(self, number):
        yield gen.sleep(0.001)
        raise gen.Return(number)


class Plain(tornado.web.RequestHandler):
    def get(self):
        self.write('plain')


def main():
    parse_command_line()
    application = tornado.web.Application([(r'/', Main), (r'/plain', Plain)])
    server = tornado.httpserver.HTTPServer(application, io_loop=tornado.ioloop.IOLoop.instance())
    server.listen(options.port, options.address)
    tornado.ioloop.IOLoop.instance().start()


if __name__ == '__main__':
    main()
""",
}

TREES: dict[str, Tree] = {"blog": BLOG, "site": SITE, "game": GAME, "tornado": TORNADO}
