"""The site's search finds, among its first three results, the page that answers what newcomers ask."""

import html
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"
NODE = shutil.which("node")

QUESTIONS = {
    "en": {
        "mount existing Tornado RequestHandler": "migration/tornado/",
        "websocket": "guide/handlers/",
        "run_in_executor blocking call": "guide/threads/",
        "set_secure_cookie": "guide/handlers/",
        "PeriodicCallback": "guide/jobs/",
        "stream large upload to disk": "howto/upload/",
        "several processes": "guide/deployment/",
        "get_argument list of integers": "guide/typed/",
        "xsrf cookies": "guide/security/",
        "AsyncHTTPTestCase": "guide/testing/",
        "ui_modules": "guide/templates/",
        "graceful shutdown SIGTERM": "guide/deployment/",
        "urls.py include namespace reverse": "guide/urls/",
        "ModelForm": "start/django/",
        "makemigrations": "start/django/",
        "select_related": "guide/database/",
        "transaction.atomic": "guide/database/",
        "login_required": "guide/auth/",
        "createsuperuser": "guide/auth/",
        "send mail": "guide/jobs/",
        "management command": "howto/commands/",
        "TestCase client": "guide/testing/",
        "cache_page": "howto/page-caching/",
        "static files collectstatic hashed names": "guide/handlers/",
        "dependency injection Depends": "start/fastapi/",
        "pydantic model request body": "guide/typed/",
        "openapi docs swagger": "guide/typed/",
        "BackgroundTasks": "start/fastapi/",
        "lifespan startup shutdown": "guide/pipeline/",
        "CORS": "guide/security/",
        "OAuth2 bearer token JWT": "howto/tokens/",
        "uvicorn": "guide/asgi/",
        "exception handler 422 error format": "guide/errors/",
        "StreamingResponse": "start/fastapi/",
        "TestClient override dependency": "guide/testing/",
        "pagination": "howto/keyset-pagination/",
    },
    "zh": {
        "CACHES 有哪些键": "zh/guide/cache/",
        "中间件怎么改写": "zh/guide/pipeline/",
        "两个数据库": "zh/howto/several-databases/",
        "get_secure_cookie 返回什么": "zh/guide/handlers/",
        "nginx 后面不丢请求": "zh/guide/deployment/",
        "响应之后运行函数": "zh/guide/handlers/",
        "MIDDLEWARE 的顺序": "zh/guide/pipeline/",
        "测试需要登录的 handler": "zh/howto/testing-recipes/",
        "自定义错误页面": "zh/guide/errors/",
        "JSON 校验": "zh/guide/typed/",
        "提交之后执行函数": "zh/guide/database/",
        "上传并限制大小": "zh/howto/upload/",
        "阻塞函数放到线程里": "zh/guide/threads/",
        "每分钟运行一次": "zh/guide/jobs/",
        "数据库迁移": "zh/guide/database/",
        "密码 登录": "zh/howto/login/",
        "事务": "zh/guide/database/",
        "依赖注入": "zh/start/fastapi/",
        "跨域": "zh/guide/security/",
        "限流": "zh/howto/rate-limits/",
        "分页": "zh/howto/keyset-pagination/",
        "聊天 多个进程": "zh/howto/chat/",
    },
}
"""What was typed into the search box, by language, and an address that answers it."""

_RUN = """
const [, worker, file, language] = process.argv;
globalThis.location = {search: `?lang=${language}`};
require("vm").runInThisContext(require("fs").readFileSync(worker, "utf8") + "\\n;globalThis.answer = answer;");
const {docs, queries} = JSON.parse(require("fs").readFileSync(file, "utf8"));
answer({type: 0, data: {docs}});
const found = (query) => answer({type: 2, data: query}).data.items;
console.log(JSON.stringify(queries.map(found)));
"""


_CODE = re.compile(r"^```.*?^```$", re.DOTALL | re.MULTILINE)


def _without_comments(block: re.Match[str]) -> str:
    return block[0].replace("\n#", "\n ")


def sections(page: Path) -> list[dict[str, str]]:
    """Return *page* as MkDocs indexes it: the page, then an entry for each heading."""
    name = page.relative_to(DOCS).with_suffix("").as_posix()
    address = re.sub(r"(^|/)index/$", r"\1", f"{name}/")
    text = re.sub(r"\]\([^)]*\)|[`*\[]", "", _CODE.sub(_without_comments, page.read_text(encoding="utf-8")))
    parts = re.split(r"^#{1,3} (.+)$", html.escape(text), flags=re.MULTILINE)
    return [
        {"location": f"{address}#{number}" if number else address, "title": title, "text": body}
        for number, (title, body) in enumerate(zip(parts[1::2], parts[2::2], strict=True))
    ]


def ask(folder: Path, language: str, *queries: str) -> list[list[list[dict[str, str]]]]:
    """Return the results for each of *queries*: pages, each with its sections."""
    index = folder / "index.json"
    docs = [entry for page in sorted(DOCS.rglob("*.md")) for entry in sections(page)]
    index.write_text(json.dumps({"docs": docs, "queries": queries}), encoding="utf-8")
    command = [str(NODE), "-e", _RUN, str(DOCS / "search.js"), str(index), language]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    return list(json.loads(done.stdout))


@pytest.mark.skipif(NODE is None, reason="needs node")
@pytest.mark.parametrize("language", QUESTIONS)
def test_pages_that_answer_are_among_the_first_three(tmp_path: Path, language: str) -> None:
    questions = QUESTIONS[language]
    results = ask(tmp_path, language, *questions)
    found = [[page[0]["location"] for page in pages[:3]] for pages in results]
    missed = [(query, pages) for query, pages in zip(questions, found, strict=True) if questions[query] not in pages]
    assert not missed


@pytest.mark.skipif(NODE is None, reason="needs node")
def test_pages_of_the_other_language_are_left_out_where_there_is_one_of_this(tmp_path: Path) -> None:
    english, chinese = (ask(tmp_path, language, "CACHES")[0] for language in ("en", "zh"))
    assert not any(page[0]["location"].startswith("zh/") for page in english)
    assert "guide/cache/" not in [page[0]["location"] for page in chinese]


@pytest.mark.skipif(NODE is None, reason="needs node")
def test_a_dotted_name_is_found_where_it_is_described(tmp_path: Path) -> None:
    found = ask(tmp_path, "en", "torngas_aio.middleware.session.SessionMiddleware")[0]
    assert "guide/session/" in [page[0]["location"] for page in found[:3]]


@pytest.mark.skipif(NODE is None, reason="needs node")
def test_marks_stand_outside_of_entities_and_nothing_else_is_markup(tmp_path: Path) -> None:
    pages = ask(tmp_path, "en", "lt quot amp html script")[0]
    for text in (section[key] for page in pages for section in page for key in ("title", "text")):
        assert "<" not in re.sub(r"</?mark>", "", text)
        assert not re.search(r"&<mark>|&\w*<", text)
