"""The debug page's style and script: inline, since nothing else may be loaded, and known to CSP by their hash.

Begin with `CONTENT_SECURITY_POLICY`.
"""

import base64
import hashlib

__all__ = ["CONTENT_SECURITY_POLICY", "SCRIPT", "STYLE"]

STYLE = """
:root{color-scheme:light dark;
--bg:#f6f5f2;--panel:#fff;--ink:#1d2129;--dim:#6a7180;--line:#e3e1da;--code:#fbfaf7;
--accent:#b3261e;--accent-soft:#fdecea;--hit:#fff3c4;--mark:#ffd666;--tag:#eceae4;--link:#20548f;--ok:#2f6f3e;
--mono:ui-monospace,"SF Mono","Cascadia Code","JetBrains Mono",Menlo,Consolas,"DejaVu Sans Mono",monospace;
--sans:system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans","DejaVu Sans",sans-serif}
@media (prefers-color-scheme:dark){:root{
--bg:#14161a;--panel:#1c1f25;--ink:#e6e4df;--dim:#979eac;--line:#2d323b;--code:#17191e;
--accent:#ff8a80;--accent-soft:#3a1f20;--hit:#3a3320;--mark:#8a6a12;--tag:#2a2e36;--link:#8db9ee;--ok:#86d39a}}
*{box-sizing:border-box}
body{margin:0;background:var(--bg);color:var(--ink);font:15px/1.55 var(--sans);-webkit-text-size-adjust:100%}
a{color:var(--link);text-decoration:none}a:hover{text-decoration:underline}
code,pre,textarea,.mono{font-family:var(--mono);font-size:13px;font-variant-ligatures:none}
.wrap{max-width:1120px;margin:0 auto;padding:0 24px}
header{background:var(--panel);border-bottom:1px solid var(--line);border-top:4px solid var(--accent)}
header .wrap{padding-top:26px;padding-bottom:22px}
.eyebrow{display:flex;flex-wrap:wrap;gap:8px;align-items:center;color:var(--dim);font-size:13px}
.pill{background:var(--accent);color:var(--panel);border-radius:999px;padding:1px 11px;font-weight:650}
.method{font-weight:650;color:var(--ink)}
.url{overflow-wrap:anywhere}
h1{font-size:25px;line-height:1.25;margin:14px 0 6px;font-weight:680;overflow-wrap:anywhere;letter-spacing:-.01em}
.message{margin:0;white-space:pre-wrap;overflow-wrap:anywhere;font:15px/1.5 var(--mono);color:var(--accent);
max-height:16em;overflow:auto}
.where{display:flex;flex-wrap:wrap;gap:8px;margin:16px 0 0;padding:0;list-style:none;font-size:13.5px}
.where li{background:var(--tag);border-radius:6px;padding:3px 10px;overflow-wrap:anywhere}
.where b{font-weight:600;color:var(--dim);margin-right:6px}
nav{position:sticky;top:0;z-index:1;background:var(--bg);border-bottom:1px solid var(--line)}
nav .wrap{display:flex;gap:20px;align-items:center;padding-top:9px;padding-bottom:9px;font-size:14px;overflow-x:auto}
nav button{margin-left:auto;font:inherit;font-size:13px;color:var(--ink);background:var(--panel);cursor:pointer;
border:1px solid var(--line);border-radius:6px;padding:3px 12px;white-space:nowrap}
nav button:hover{border-color:var(--dim)}
section{margin:28px 0;scroll-margin-top:56px}
h2{font-size:16px;margin:0 0 10px;font-weight:680}
h3{font-size:12px;margin:16px 0 6px;color:var(--dim);font-weight:650;text-transform:uppercase;letter-spacing:.05em}
.relation{margin:26px 0 8px;color:var(--dim)}
.cause{margin:0 0 10px}.cause strong{overflow-wrap:anywhere}.cause .message{font-size:13px;max-height:9em}
.panel,.frame{background:var(--panel);border:1px solid var(--line);border-radius:9px;overflow:hidden}
.panel{padding:4px 16px 14px}
.frame{margin:0 0 8px}
.frame>summary{display:flex;flex-wrap:wrap;gap:2px 12px;align-items:baseline;padding:9px 16px;cursor:pointer;
list-style:none}
.frame>summary::-webkit-details-marker{display:none}
.frame>summary::before{content:"";flex:none;width:0;height:0;border:4px solid transparent;
border-left:6px solid var(--dim);align-self:center;transition:transform .12s}
.frame[open]>summary::before{transform:rotate(90deg) translateX(-2px)}
.frame>summary:hover{background:var(--tag)}
.fn{font-family:var(--mono);font-size:13.5px;font-weight:650}
.file{font-family:var(--mono);font-size:12.5px;color:var(--dim);overflow-wrap:anywhere}
.file b{color:var(--ink);font-weight:550}
.tag{font-size:11px;border-radius:4px;padding:0 7px;background:var(--tag);color:var(--dim);margin-left:auto}
.tag.template{background:var(--accent-soft);color:var(--accent)}
.library>summary .fn,.library>summary .file b{color:var(--dim);font-weight:500}
.source{margin:0;padding:8px 0;background:var(--code);border-top:1px solid var(--line);overflow-x:auto;line-height:1.6}
.source>span{display:block;width:max-content;min-width:100%;padding:0 16px 0 0;white-space:pre;tab-size:4}
.source i{display:inline-block;width:56px;padding-right:14px;text-align:right;color:var(--dim);font-style:normal;
user-select:none;opacity:.75}
.source .hit{background:var(--hit);box-shadow:inset 3px 0 0 var(--accent)}
.source mark{background:var(--mark);color:inherit;border-radius:2px}
.locals{border-top:1px solid var(--line)}
.locals>summary{padding:6px 16px;color:var(--dim);font-size:13px;cursor:pointer}
.locals table{margin:0 16px 12px;width:calc(100% - 32px)}
table{border-collapse:collapse;width:100%;table-layout:fixed}
th,td{text-align:left;vertical-align:top;padding:4px 10px 4px 0;border-top:1px solid var(--line);font-weight:400;
overflow-wrap:anywhere}
tr:first-child>*{border-top:0}
th{width:25%;color:var(--dim);font-family:var(--mono);font-size:13px}
td{font-family:var(--mono);font-size:13px;white-space:pre-wrap}
.omitted{color:var(--dim);text-align:center;margin:4px 0 12px;font-size:13px}
.steps{margin:0;padding:8px 0;list-style:none}
.steps li{font-family:var(--mono);font-size:13px;padding:3px 16px;white-space:pre-wrap;overflow-wrap:anywhere}
.steps .failed{background:var(--accent-soft);color:var(--accent);font-weight:650;box-shadow:inset 3px 0 0 var(--accent)}
.steps .failed::after{content:"failed here";float:right;font:600 11px/1.9 var(--sans)}
.routes td:first-child{width:46%;color:var(--ink);font-weight:550}.routes td:last-child{width:18%;color:var(--dim)}
textarea{width:100%;height:300px;color:var(--ink);background:var(--code);border:1px solid var(--line);border-radius:7px;
padding:12px;resize:vertical}
footer{color:var(--dim);font-size:13px;padding:6px 0 40px}
@media (max-width:640px){.wrap{padding-left:14px;padding-right:14px}th{width:36%}h1{font-size:20px}}
"""

SCRIPT = """
document.getElementById("copy").addEventListener("click",function(event){
var text=document.getElementById("text"),button=event.target;
function done(){button.textContent="Copied";setTimeout(function(){button.textContent="Copy as text"},1500)}
function byHand(){text.closest("details").open=true;text.focus();text.select();
try{document.execCommand("copy")&&done()}catch(error){}}
if(navigator.clipboard){navigator.clipboard.writeText(text.value).then(done,byHand)}else{byHand()}
});
"""


def _hash(text: str) -> str:
    return "'sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() + "'"


CONTENT_SECURITY_POLICY = (
    f"default-src 'none'; style-src {_hash(STYLE)}; script-src {_hash(SCRIPT)}; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""Allows this page's own style and script and nothing else, should anything on it escape its escaping."""
