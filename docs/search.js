/* The site's search: a worker that speaks the protocol of Material for MkDocs (0 set up, 1 ready, 2 query, 3 result).
 *
 * It takes the place of the theme's worker (docs/_hooks.py puts it in), which finds nothing for a Chinese query that
 * begins with a word it has not indexed, mixes both languages, and puts API pages before guides.
 *
 * - Chinese text is indexed by pairs of characters, so no dictionary is needed on either side.
 * - Names are found whole and by their parts: `set_secure_cookie`, `DATABASE_CONNECTION`, `torngas_aio.cache`.
 * - Sections are ranked by BM25 and by the share of the query that they answer; titles count more than text.
 * - A page in the other language counts less, and only where this language has no page of that name.
 */
"use strict";

const STOP = new Set("a an and are as at be by can do does for from how i in is it my of on or the to what when where which with".split(" "));
const PARTICLES = /为什么|怎么办|怎么样|怎么|怎样|如何|什么|有哪些|哪些|哪个|可以|需要|一个|一次|之后|之前|的|了|吗|呢|和|并|给|在|到/g;
const TITLE = 4, PAGE_TITLE = 1.5, NEARLY = 0.4;  // weights of a term in these places, and of a term that only begins so
const WEIGHTS = [[/^reference\/(changelog|benchmarks)/, 0.15], [/^(zh\/)?glossary/, 0.15], [/^reference\/api/, 0.35],
  [/^reference\/codes|^(zh\/)?migration/, 0.6], [/^reference|^(zh\/)?(start\/|internals)/, 0.7]];
const HERE = new URLSearchParams(globalThis.location ? globalThis.location.search : "").get("lang") || "en";

/** The stem of an English word: `caches`, `cached` and `caching` are one. */
function stem(word) {
  const short = word.replace(/(?:ing|ed|es|(?<!s)s)$/, "");
  return (short.length > 2 ? short : word).replace(/e$/, "");
}

/** The terms of *text*: stems of words, names dotted, whole and in parts, pairs of Chinese characters. */
function terms(text) {
  const found = [...text.matchAll(/torngas_aio(?:\.\w+)+/g)].map(([name]) => name.toLowerCase());
  for (const [run] of text.matchAll(/[\p{L}\p{N}_]+/gu)) {
    for (const [part] of run.matchAll(/\p{Script=Han}+|[^\p{Script=Han}]+/gu)) {
      if (/\p{Script=Han}/u.test(part)) {
        if (part.length === 1) found.push(part);
        for (let i = 0; i + 1 < part.length; i++) found.push(part.slice(i, i + 2));
        continue;
      }
      const words = part.match(/[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+|[^\x00-\x7f_]+/g) || [];
      if (words.length > 1) found.push(part.toLowerCase());
      for (const word of words) found.push(stem(word.toLowerCase()));
    }
  }
  return found;
}

/** The text of *html*; jieba, where it is installed, has put zero-width spaces between Chinese words. */
const plain = (html) => html.replace(/<\/(?:p|li|pre|td|h\d)>/g, " ").replace(/<[^>]*>|\u200b/g, "").replace(/\s+/g, " ").trim();

class Index {
  constructor(docs) {
    this.pages = new Map(docs.filter((doc) => !doc.location.includes("#")).map((doc) => [doc.location, doc]));
    this.entries = docs.map((doc) => this.entry(doc)).filter(Boolean);
    this.postings = new Map();
    let length = 0;
    for (const entry of this.entries) {
      const counts = new Map();
      const add = (text, weight) => { for (const term of terms(text)) counts.set(term, (counts.get(term) || 0) + weight); };
      add(entry.title, TITLE);
      add(entry.location.split("#")[1] || "", TITLE);  // of a name in the API: its dotted path
      add(entry.page.title, PAGE_TITLE);
      add(entry.text, 1);
      entry.length = entry.text.length;
      length += entry.length;
      for (const [term, count] of counts) {
        if (!this.postings.has(term)) this.postings.set(term, []);
        this.postings.get(term).push([entry, count]);
      }
    }
    this.mean = length / this.entries.length;
    this.vocabulary = [...this.postings.keys()].sort();
  }

  /** A section with its page and what its address is worth to a reader of this language. */
  entry({ location, title, text }) {
    const page = this.pages.get(location.split("#")[0]);
    const name = page.location.replace(/^zh\//, "");
    const language = page.location.startsWith("zh/") ? "zh" : "en";
    const translated = this.pages.has(name) && this.pages.has("zh/" + name);
    if (language !== HERE && (translated || language === "zh")) return null;
    const [, weight] = WEIGHTS.find(([pattern]) => pattern.test(page.location)) || [, 1];
    return { location, title: plain(title), text: plain(text), page, weight: language === HERE ? weight : weight / 3 };
  }

  /** The entries that have *term*, or a term that begins with it, with a count for each. */
  matches(term) {
    const found = new Map(this.postings.get(term) || []);
    if (term.length < 3) return found;
    let low = 0, high = this.vocabulary.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.vocabulary[middle] < term) low = middle + 1; else high = middle;
    }
    for (; low < this.vocabulary.length && this.vocabulary[low].startsWith(term); low++) {
      if (this.vocabulary[low] === term) continue;
      for (const [entry, count] of this.postings.get(this.vocabulary[low])) {
        found.set(entry, (found.get(entry) || 0) + NEARLY * count);
      }
    }
    return found;
  }

  search(query) {
    const asked = [...new Set(terms(query.replace(PARTICLES, " ")))];
    const wanted = asked.filter((term) => !STOP.has(term));
    const scores = new Map();
    let total = 0;
    for (const term of wanted.length ? wanted : asked) {
      const matches = this.matches(term);
      const rarity = Math.log(1 + (this.entries.length - matches.size + 0.5) / (matches.size + 0.5));
      total += rarity;
      for (const [entry, count] of matches) {
        const score = scores.get(entry) || { value: 0, share: 0, terms: new Set() };
        const frequency = count * 2.2 / (count + 1.2 * (0.4 + 0.6 * entry.length / this.mean));
        score.value += rarity * frequency;
        score.share += rarity;
        score.terms.add(term);
        scores.set(entry, score);
      }
    }
    const groups = new Map();
    for (const [entry, { value, share, terms }] of scores) {
      if (!groups.has(entry.page)) groups.set(entry.page, []);
      groups.get(entry.page).push({ entry, terms, score: value * entry.weight * (share / total) ** 2 });
    }
    const best = (group) => Math.max(...group.map((result) => result.score));
    const found = [...groups].sort(([, a], [, b]) => best(b) - best(a)).slice(0, 20);
    return { items: found.map(([page, group]) => this.item(page, group)) };
  }

  /** A page's results as the theme shows them: the page, then its best sections, all but one of them folded. */
  item(page, group) {
    group.sort((a, b) => b.score - a.score);
    const top = group[0].score;
    const sections = group.filter(({ entry }) => entry.location !== page.location).slice(0, 4);
    const whole = group.find(({ entry }) => entry.location === page.location);
    const first = shown(whole || { entry: this.entry(page), terms: new Set() });
    return [{ ...first, score: top }, ...sections.map((each, i) => ({ ...shown(each), score: i ? each.score : top }))];
  }
}

function shown({ entry, terms, score }) {
  const title = marked(entry.title, terms), text = marked(excerpt(entry.text, terms), terms);
  return { location: entry.location, title, text, score, terms: Object.fromEntries([...terms].map((term) => [term, true])) };
}

/** What matches one of *terms*, and entities such as `&lt;`, in which nothing is to be marked. */
const pattern = (terms) => new RegExp(`&#?\\w+;|(${[...terms].sort((a, b) => b.length - a.length).join("|") || "(?!)"})`, "gi");
const marked = (text, terms) => text.replace(pattern(terms), (found, term) => term ? `<mark>${term}</mark>` : found);

/** About 200 characters of *text* that begin shortly before the first match. */
function excerpt(text, terms) {
  const hit = [...text.matchAll(pattern(terms))].find(([, term]) => term);
  const at = Math.max(0, (hit ? hit.index : 0) - 40);
  const start = at && text.lastIndexOf(" ", at) > at - 30 ? text.lastIndexOf(" ", at) + 1 : at;
  const cut = text.slice(start, start + 200).replace(/^[a-z]*;|&[a-z]*$/g, "");
  return (start ? "… " : "") + cut + (start + 200 < text.length ? " …" : "");
}

let index;
function answer({ type, data }) {
  if (type === 0) {
    index = new Index(data.docs);
    return { type: 1 };
  }
  return { type: 3, data: index.search(data) };
}

if (globalThis.addEventListener) addEventListener("message", (event) => postMessage(answer(event.data)));
