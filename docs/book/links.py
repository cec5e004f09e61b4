#!/usr/bin/env python3
"""Whether every link between the pages of a built book leads to a page and a place on it."""

import html.parser
import pathlib
import sys
import urllib.parse


class Page(html.parser.HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.ids, self.links = set(), []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        if "id" in attributes:
            self.ids.add(attributes["id"])
        for name in ("href", "src"):
            if attributes.get(name):
                self.links.append(attributes[name])


def main():
    book = pathlib.Path(sys.argv[1]).resolve()
    pages = {path: Page(path.read_text()) for path in book.rglob("*.html")}
    wrong, count = [], 0
    for path, page in pages.items():
        # Its links are those of other pages, seen from another folder.
        if path.name in ("404.html", "print.html", "toc.html"):
            continue
        for link in page.links:
            url = urllib.parse.urlsplit(link)
            if url.scheme or url.netloc:
                continue
            count += 1
            to = (path.parent / urllib.parse.unquote(url.path)).resolve() if url.path else path
            if not to.exists():
                wrong.append(f"{path.relative_to(book)}: {link} is not there")
            elif url.fragment and to in pages and urllib.parse.unquote(url.fragment) not in pages[to].ids:
                wrong.append(f"{path.relative_to(book)}: {link}: no such place on that page")
    for line in wrong:
        print(line, file=sys.stderr)
    print(f"{len(pages)} pages, {count} links between them, {len(wrong)} lead nowhere")
    sys.exit(1 if wrong or count < 100 else 0)


if __name__ == "__main__":
    main()
